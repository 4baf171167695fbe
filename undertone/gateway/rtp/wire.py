"""The listener: a range of UDP ports, the even ones for RTP, and above each the one for its RTCP.

All ports are opened at the start: one that is taken is told then, not when a call comes.
"""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable
from functools import lru_cache, partial

from schemas.errors import UserError
from undertone.gateway.addresses import Address
from undertone.gateway.calls import Calls
from undertone.gateway.metrics import GatewayMetrics
from undertone.gateway.rtp.codecs import payload_types
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.packet import MAX_BYTES
from undertone.gateway.rtp.port import NAME, Port, Shared
from undertone.gateway.rtp.source import Peer
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.wire import Started

_LOOK_S = 1.0
# Datagrams of one port that are read in a row before the others have their turn.
_IN_A_ROW = 64
# Files beside the ports': Kafka's connections, the metrics' ones, other wires' listeners and calls.
_OTHER_FILES = 512
_log = logging.getLogger(__name__)


class RtpWire:
    """The listener. Each call has a pair of ports of its own."""

    name = NAME

    def __init__(self, address: Address, settings: GatewaySettings) -> None:
        settings.require_protection("--rtp", address, tokens=False)
        self._address = address
        self._types = payload_types(settings.rtp_payload_types)
        last = address.port if address.last is None else address.last
        self._ports = range(address.port + address.port % 2, last + 1, 2)
        if not self._ports or self._ports[-1] == 65_535:
            raise UserError(f"--rtp {address}: holds no even port, and RTP takes even ones")

    async def run(self, calls: Calls, started: Started) -> None:
        """Serve until cancelled; then sources are told goodbye."""
        loop = asyncio.get_running_loop()
        # Asked with every packet; to read an address and compare it takes 8 to 19 us, and all the rest of a packet 25.
        may_send = lru_cache(maxsize=1024)(calls.settings.may_connect)
        depth_s = calls.settings.rtp_jitter_ms / 1000
        shared = Shared(calls, may_send, self._types, depth_s, loop, _counter(calls.metrics))
        _allow_files(2 * len(self._ports) + _OTHER_FILES, self._address)
        with contextlib.ExitStack() as stack:
            ports = [self._open(number, shared, stack) for number in self._ports]
            started(NAME, str(self._address))
            try:
                while True:
                    await asyncio.sleep(_LOOK_S)
                    for port in ports:
                        _look(port, loop.time())
            finally:
                for port in ports:
                    port.close()

    def _open(self, number: int, shared: Shared, stack: contextlib.ExitStack) -> Port:
        """Bind a pair of ports and read them."""
        rtp, control = (self._bind(at, stack) for at in (number, number + 1))

        def send(datagram: bytes, peer: Peer, from_rtp: bool) -> None:
            # A report that cannot be sent now is sent anew in 5 s.
            with contextlib.suppress(OSError):
                (rtp if from_rtp else control).sendto(datagram, peer)

        port = Port(number, shared, send)
        for opened, is_control in ((rtp, False), (control, True)):
            shared.loop.add_reader(opened, partial(_read, opened, port, control=is_control))
            stack.callback(shared.loop.remove_reader, opened)
        return port

    def _bind(self, number: int, stack: contextlib.ExitStack) -> socket.socket:
        host = self._address.host
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(host, number, type=socket.SOCK_DGRAM)[0]
            opened = stack.enter_context(socket.socket(family, kind, protocol))
            opened.setblocking(False)
            opened.bind(where)
        except OSError as error:
            taken = Address(host, number)
            raise UserError(f"--rtp {self._address}: cannot listen on {taken} ({error.strerror})") from error
        return opened


def _read(opened: socket.socket, port: Port, *, control: bool) -> None:
    """Read what has come. All of it before a timer runs: what waits here is neither lost nor late."""
    for _ in range(_IN_A_ROW):
        try:
            datagram, peer = opened.recvfrom(MAX_BYTES + 1)
        except OSError:  # mostly BlockingIOError: nothing more
            return
        try:
            port.datagram(datagram, peer[:2], control=control)
        except Exception:
            # One call's trouble is not the others'.
            _log.exception("rtp: port %d has failed on a datagram", port.number)


def _look(port: Port, now: float) -> None:
    try:
        port.look(now)
    except Exception:
        _log.exception("rtp: port %d has failed", port.number)


def _counter(metrics: GatewayMetrics) -> Callable[[Outcome, int], None]:
    counters = {outcome: metrics.rtp_packets.labels(outcome) for outcome in Outcome}

    def count(outcome: Outcome, packets: int) -> None:
        if packets:
            counters[outcome].inc(packets)

    return count


def _allow_files(needed: int, address: Address) -> None:
    """Raise the number of files that this process may have open, as far as it may itself.

    Raises:
        UserError: it may not have enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UserError(f"--rtp {address}: needs {needed} open files, the limit is {hard}; raise it (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

"""One pair of ports: which call is on it now, what it hears, and what goes back."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from undertone.gateway.calls import Calls
from undertone.gateway.names import CallName
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.rtp.admission import Admission
from undertone.gateway.rtp.codecs import PayloadType
from undertone.gateway.rtp.hearing import Hearing
from undertone.gateway.rtp.naming import names_of, sides
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.packet import RtpPacket, is_rtcp, peek
from undertone.gateway.rtp.session import Session
from undertone.gateway.rtp.source import Peer
from undertone.gateway.rtp.srtp import Srtp
from undertone.gateway.streams import LiveStream

NAME = "rtp"
# RFC 3550, 6.2: the least interval of reports is 5 s. A look comes once a second, and may come early by a bit.
_REPORT_S = 4.5
# Datagrams that wait while the call's name is looked up: 5 s of 20 ms packets.
_MAX_WAITING = 250
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all ports of a wire have in common. `count` counts packets, `may_send` knows the allowed networks."""

    calls: Calls
    may_send: Callable[[str], bool]
    types: Mapping[int, PayloadType]
    depth_s: float
    loop: asyncio.AbstractEventLoop
    count: Callable[[Outcome, int], None]
    cname: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    """RFC 7022: the same in all reports of one run, and nothing of the machine in it."""


class Port:
    """Takes the datagrams of one pair of ports. `send` sends RTCP to a peer, True: from the port of RTP."""

    def __init__(self, number: int, shared: Shared, send: Callable[[bytes, Peer, bool], None]) -> None:
        self.number = number
        self._shared = shared
        self._send = send
        self._calls = shared.calls
        self._admission = Admission(shared.types, shared.may_send)
        self._ssrc = secrets.randbits(32)
        self._session: Session | None = None
        self._counted = contextlib.ExitStack()
        self._naming: asyncio.Task[None] | None = None
        self._waiting: list[tuple[bytes, Peer, float]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._reported_at = 0.0

    def datagram(self, datagram: bytes, peer: Peer, *, control: bool) -> None:
        """A datagram came; `control`: to the port of RTCP."""
        now = self._shared.loop.time()
        if outcome := self._admission.refuses(peer[0], now):
            self._shared.count(outcome, 1)
        elif control or is_rtcp(datagram):
            if self._session:
                self._guarded(self._session, self._session.rtcp, datagram, peer, now)
        else:
            self._rtp(datagram, peer, now)

    def look(self, now: float) -> None:
        """Once a second: whether the source is still there, and a report to it."""
        session = self._session
        if session is None:
            return
        if session.stale(now):
            self._let_go()
        elif now - session.last_heard > self._calls.settings.idle_s:
            _log.info("rtp: nothing came to port %d for a while, its call ends", self.number)
            self._calls.metrics.broken_off.labels(NAME).inc(len(session.hearing.streams))
            self._guarded(session, session.end)
        elif now - self._reported_at >= _REPORT_S:
            self._reported_at = now
            self._reply(session, session.report(self._ssrc, self._shared.cname, now))

    def close(self) -> None:
        """The gateway stops."""
        if self._naming:
            self._naming.cancel()
        if self._session:
            self._leave(self._session, Refused(Refusal.DRAINING, "this gateway stops"))

    def _rtp(self, datagram: bytes, peer: Peer, now: float) -> None:
        if self._session and self._session.stale(now):
            self._let_go()
        if self._session:
            self._guarded(self._session, self._session.rtp, datagram, peer, now)
        elif self._naming:
            self._waits(datagram, peer, now)
        elif outcome := self._admission.keeps_out(datagram, now):
            self._shared.count(outcome, 1)
        else:
            self._waits(datagram, peer, now)
            self._naming = self._shared.loop.create_task(self._begin(peek(datagram)))

    def _waits(self, datagram: bytes, peer: Peer, now: float) -> None:
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append((datagram, peer, now))
        else:
            self._shared.count(Outcome.TOO_MANY, 1)

    async def _begin(self, first: RtpPacket) -> None:
        """Find the call's name, then hear what has come meanwhile."""
        channels = self._shared.types[first.payload_type].channels
        try:
            names = await names_of(self._calls.names, self.number, first.ssrc, channels)
            self._calls.admit(names[0].call_id)
            self._counted.enter_context(self._calls.connection(NAME))
        except Refused as refused:
            self._refused(refused)
            return
        finally:
            self._naming = None
            waiting, self._waiting = self._waiting, []
        session = self._session = self._new_session(names)
        for datagram, peer, arrived in waiting:
            if self._session is not session:
                break
            self._guarded(session, session.rtp, datagram, peer, arrived)

    def _new_session(self, names: Sequence[CallName]) -> Session:
        shared, settings, now = self._shared, self._calls.settings, self._shared.loop.time()

        def open_streams(payload_type: PayloadType) -> list[LiveStream]:
            with contextlib.ExitStack() as stack:
                streams = []
                for name in sides(names, payload_type.channels):
                    stream = self._calls.open(
                        NAME, name.call_id, name.channel, name.role, payload_type.rate, payload_type.encoding
                    )
                    stack.callback(stream.end)
                    streams.append(stream)
                stack.pop_all()
            return streams

        # Half of what a stream may be ahead of the clock: a pause that is believed is none too fast.
        hearing = Hearing(shared.types, shared.depth_s, settings.burst_s / 2, open_streams, shared.count)
        srtp = Srtp(names[0].srtp) if names[0].srtp else None
        self._reported_at = now
        return Session(shared.types, shared.depth_s, hearing, shared.count, srtp, now)

    def _guarded(self, session: Session, do: Callable[..., None], *arguments: object) -> None:
        """Let a session do something, and see what has become of it."""
        try:
            do(*arguments)
        except Refused as refused:
            self._refused(refused)
            self._leave(session, refused)
            return
        if session.over:
            self._ended(session)
        elif session.due is not None and self._timer is None:
            self._timer = self._shared.loop.call_at(session.due, self._advance, session)

    def _advance(self, session: Session) -> None:
        self._timer = None
        self._guarded(session, session.advance, self._shared.loop.time())

    def _refused(self, refused: Refused) -> None:
        self._calls.refused(NAME, refused, f"port {self.number}")
        self._admission.refused(refused.reason, self._shared.loop.time())

    def _leave(self, session: Session, refused: Refused) -> None:
        """Say goodbye to a source that is not heard any more, and why: RTP has no other error."""
        self._reply(session, session.goodbye(self._ssrc, self._shared.cname, refused.text))
        with contextlib.suppress(Refused):
            session.end()
        self._let_go()

    def _ended(self, session: Session) -> None:
        now = self._shared.loop.time()
        if session.source and session.peer:
            self._admission.left(session.source.ssrc, now)
            self._let_go()
            for came in session.leftover():
                self._rtp(came.datagram, came.peer, now)

    def _let_go(self) -> None:
        self._session = None
        self._counted.close()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _reply(self, session: Session, report: bytes | None) -> None:
        """To where its RTCP comes from; until some has come, to the port above its own."""
        if report is None or session.peer is None:
            return
        host, port = session.peer
        to = session.control_peer or (host, port + 1)
        self._send(report, to, to == session.peer)

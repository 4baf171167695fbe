"""Asterisk's AudioSocket: TCP, one mono stream for each connection, named by a UUID.

The protocol carries no times: what comes over a connection is one piece of sound. A connection that is closed without
the message that ends it has broken off.
"""

import asyncio
import contextlib
import uuid
from collections import deque

import numpy as np

from schemas.errors import UserError
from undertone.gateway.addresses import Address
from undertone.gateway.audiosocket_messages import ERROR_CODES, RATES, Kind, Message, Parser, encode_message
from undertone.gateway.calls import Calls
from undertone.gateway.names import CallName
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.streams import LiveStream
from undertone.gateway.wire import Started

NAME = "audiosocket"
# One telephone system connects again for all its calls at once.
_BACKLOG = 1024


class AudioSocketWire:
    """The listener."""

    name = NAME

    def __init__(self, address: Address, settings: GatewaySettings) -> None:
        settings.require_protection("--audiosocket", address, tokens=False)
        self._address = address
        self._tls = settings.server_context()

    async def run(self, calls: Calls, started: Started) -> None:
        """Serve until cancelled; then connections are closed, each with the error that says why."""
        connections: set[Connection] = set()
        host, port = self._address.host, self._address.port
        try:
            server = await asyncio.get_running_loop().create_server(
                lambda: Connection(calls, connections), host, port, ssl=self._tls, backlog=_BACKLOG
            )
        except OSError as error:
            raise UserError(f"--audiosocket {self._address}: cannot listen there ({error.strerror})") from error
        try:
            started(NAME, str(Address(host, server.sockets[0].getsockname()[1])))
            await server.serve_forever()
        finally:
            server.close()
            for connection in list(connections):
                connection.refuse(Refused(Refusal.DRAINING, "this gateway stops"))


class Connection(asyncio.Protocol):
    """One connection. Not a stream reader: at 25,000 messages a second its tasks alone would take a core."""

    _transport: asyncio.Transport

    def __init__(self, calls: Calls, connections: set["Connection"]) -> None:
        self._calls = calls
        self._connections = connections
        self._counted = contextlib.ExitStack()
        self._parser = Parser(calls.settings.max_message_bytes)
        self._waiting: deque[Message] = deque()
        self._who = ""
        self._naming: asyncio.Task[None] | None = None
        self._name: CallName | None = None
        self._stream: LiveStream | None = None
        self._heard = False
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the type checker
        self._transport = transport
        self._connections.add(self)
        peer = transport.get_extra_info("peername") or ("",)
        self._who = str(peer[0])
        try:
            if not self._calls.settings.may_connect(self._who, tls=transport.get_extra_info("sslcontext") is not None):
                raise Refused(Refusal.UNAUTHORIZED, "not in an allowed network")
            self._counted.enter_context(self._calls.connection(NAME))
        except Refused as refused:
            self.refuse(refused)
            return
        self._look_later()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._transport.is_closing():
            return
        try:
            self._waiting.extend(self._parser.feed(data))
            while self._waiting and not self._naming:
                self._take(self._waiting.popleft())
        except MalformedMessage as error:
            self.refuse(Refused(Refusal.MALFORMED, str(error)))
        except Refused as refused:
            self.refuse(refused)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; a call that has not ended has broken off."""
        self._connections.discard(self)
        self._counted.close()
        if self._watch:
            self._watch.cancel()
        if self._naming:
            self._naming.cancel()
        if self._stream:
            self._calls.broke_off(self._stream)

    def refuse(self, refused: Refused) -> None:
        """Answer with the protocol's error, and close. What was heard so far is kept, and ends here."""
        if self._transport.is_closing():
            return
        self._calls.refused(NAME, refused, self._who)
        if self._stream:
            self._stream.end(refused)
        code = ERROR_CODES[refused.reason]
        self._transport.write(encode_message(Kind.ERROR, bytes([code])) + encode_message(Kind.END))
        self._transport.close()

    def _take(self, message: Message) -> None:
        rate = RATES.get(message.kind)
        if rate:
            self._hear(message.payload, rate)
        elif message.kind == Kind.UUID:
            if self._name or self._naming:
                raise MalformedMessage("a second UUID")
            key = str(uuid.UUID(bytes=message.payload))
            self._who += f" {key}"
            # No more is read until the call has its name; what is read already waits.
            self._transport.pause_reading()
            self._naming = asyncio.get_running_loop().create_task(self._find_name(key))
        elif message.kind == Kind.END:
            if self._stream:
                self._stream.end()
            self._transport.close()
        elif message.kind == Kind.ERROR:
            # The other side gives up, and may come back.
            self._transport.close()

    def _hear(self, payload: bytes, rate: int) -> None:
        if self._name is None:
            raise MalformedMessage("audio before the UUID")
        if self._stream is None:
            name = self._name
            self._stream = self._calls.open(NAME, name.call_id, name.channel, name.role, rate)
        if rate != self._stream.rate:
            raise MalformedMessage(f"audio at {rate} Hz in a stream of {self._stream.rate} Hz")
        self._heard = True
        self._stream.feed(np.frombuffer(payload, "<i2").astype(np.int16, copy=False))

    async def _find_name(self, key: str) -> None:
        try:
            name = await self._calls.names.lookup(key)
            if name is None:
                raise Refused(Refusal.UNKNOWN_CALL, f"{key} is not in --calls")
            self._calls.admit(name.call_id)
        except Refused as refused:
            self.refuse(refused)
            return
        finally:
            self._naming = None
        self._name = name
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.data_received(b"")

    def _look_later(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(self._calls.settings.idle_s, self._look)

    def _look(self) -> None:
        """Close the connection where no audio has come for a whole interval."""
        if self._heard:
            self._heard = False
            self._look_later()
        else:
            self.refuse(Refused(Refusal.IDLE, f"no audio for {self._calls.settings.idle_s:g} s"))

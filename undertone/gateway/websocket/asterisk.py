"""Asterisk's chan_websocket at `/asterisk`: one mono stream, audio as binary messages, all else as text.

The wire carries no times: what comes over a connection is one piece of sound. Asterisk ends a call by closing the
WebSocket; a connection that is gone without that has broken off. What the gateway does not take it answers with the
command HANGUP, and closes.
"""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request

from schemas.audio import Role
from schemas.errors import one_line
from undertone.gateway.calls import Calls
from undertone.gateway.names import CallName, CallNames
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.access import query_of, require_token
from undertone.gateway.websocket.asterisk_messages import Command, Event, MediaStart, media_start, parse
from undertone.gateway.websocket.sessions import Session, converse

NAME = "asterisk"
SUBPROTOCOL = "media"
_SAID = ("call_id", "channel", "role")
_log = logging.getLogger(__name__)


def authorize(request: Request, settings: GatewaySettings) -> None:
    """Check the token: the password of websocket_client.conf, or `token` in the URL.

    Raises:
        Refused: tokens are set, and there is none of them.
    """
    require_token(request, settings)


async def serve(connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
    """Take one channel.

    Raises:
        Refused: why the connection is to be closed; the channel is hung up.
        ConnectionClosed: Asterisk has closed it.
    """
    session = _AsteriskSession(connection, calls)
    try:
        await converse(connection, session)
    except Refused:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(session.event.command(Command.HANGUP))
        raise


class _AsteriskSession(Session):
    def __init__(self, connection: ServerConnection, calls: Calls) -> None:
        super().__init__(NAME, calls)
        assert connection.request is not None  # noqa: S101  there was a handshake
        self._connection = connection
        self._query = query_of(connection.request)
        self._start: MediaStart | None = None
        self.event = Event("")
        """The last one, in whose way commands are written."""

    async def take(self, message: str | bytes) -> bool:
        """A control message or audio."""
        if isinstance(message, bytes):
            if self._start is None:
                raise MalformedMessage("audio before MEDIA_START")
            self.streams[0].feed(self._start.format.samples(message))
            return True
        self.event = parse(message)
        match self.event.name:
            case "MEDIA_START" if self._start is None:
                await self._begin(media_start(self.event))
            case "MEDIA_START":
                raise MalformedMessage("a second MEDIA_START")
            case "ERROR":
                _log.warning("asterisk: %s", one_line(message))
        return False

    def cut(self, code: int | None) -> None:
        """Asterisk closes the WebSocket where the channel is hung up."""
        if code in (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY):
            self.end()
        else:
            super().cut(code)

    async def _begin(self, start: MediaStart) -> None:
        name = await call_name(self.calls.names, start, self._query)
        form = start.format
        stream = self.calls.open(
            NAME, name.call_id, name.channel, name.role, form.rate, form.encoding, traceparent=self.traceparent
        )
        self.streams.append(stream)
        self._start = start
        # A channel that was dialled with the option `n` waits for it; one that is answered already hears nothing.
        await self._connection.send(self.event.command(Command.ANSWER))


async def call_name(names: CallNames, start: MediaStart, query: Mapping[str, str]) -> CallName:
    """What the channel's audio is called.

    UNDERTONE_CALL_ID, UNDERTONE_CHANNEL and UNDERTONE_ROLE among the channel's variables say it, or call_id, channel
    and role in the query of the URL, for Asterisk sends no variables where it writes lines. --calls is asked by the
    call id; where nobody says one, by the channel's id or by the connection's.

    Raises:
        Refused: nobody knows the call.
        MalformedMessage: a role that is none.
    """
    call_id, channel, role = (start.variables.get(f"UNDERTONE_{key.upper()}") or query.get(key) for key in _SAID)
    if role and role not in set(Role):
        raise MalformedMessage(f"role {one_line(role, 40)!r}: want customer or agent")
    keys = (call_id,) if call_id else (start.id, start.connection_id)
    name = await names.lookup(keys[0]) or await names.lookup(keys[-1])
    if name is None:
        raise Refused(Refusal.UNKNOWN_CALL, f"{one_line(keys[0], 80)} is not in --calls")
    if role:
        name = replace(name, role=Role(role), channel=role)
    return replace(name, channel=channel) if channel else name

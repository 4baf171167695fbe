"""Genesys AudioHook v2 at `/audiohook`: both sides of a call over one WebSocket.

The conversation's id is the call's; the external side is the customer, the internal one the agent. What the gateway
does not take it answers with `disconnect`, whose info begins with one of the codes that AudioHook borrows from HTTP.
"""

import asyncio
import contextlib
import logging
from functools import cache
from typing import Literal
from weakref import WeakValueDictionary

import numpy as np
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from schemas.audio import Encoding, Role
from schemas.errors import one_line
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.access import require_token
from undertone.gateway.websocket.audiohook_dialogue import (
    Closing,
    Dialogue,
    Gap,
    Heard,
    Notice,
    Opening,
    ProtocolError,
    Reply,
    Step,
)
from undertone.gateway.websocket.audiohook_messages import RATE
from undertone.gateway.websocket.audiohook_signature import Handshake, SignatureCheck, Unauthorized
from undertone.gateway.websocket.sessions import Session, converse, voice_of

NAME = "audiohook"
_TRACKS = {"external": Role.CUSTOMER, "internal": Role.AGENT}
_CODES = {
    Refusal.KAFKA_AWAY: 503,
    Refusal.DRAINING: 503,
    Refusal.TOO_MANY_CALLS: 429,
    Refusal.TOO_MANY_CONNECTIONS: 429,
    Refusal.INVALID_CALL_ID: 400,
    Refusal.UNKNOWN_CALL: 400,
    Refusal.ALREADY_OPEN: 409,
    Refusal.UNAUTHORIZED: 401,
    Refusal.MALFORMED: 400,
    Refusal.MESSAGE_TOO_LARGE: 413,
    Refusal.TOO_FAST: 429,
    Refusal.CALL_TOO_LARGE: 413,
    Refusal.IDLE: 408,
}
# The client closes as soon as it is told to; one that does not is no reason to wait.
_CLOSE_S = 5.0
# By conversation and session: a client that comes back names those that it has given up, which may not know of it yet.
_running: WeakValueDictionary[tuple[str, str], "_AudioHookSession"] = WeakValueDictionary()
_log = logging.getLogger(__name__)


def authorize(request: Request, settings: GatewaySettings) -> None:
    """Let every handshake pass: who may not talk is told so by `disconnect`, as the protocol has it."""


async def serve(connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
    """Take one session.

    Raises:
        Refused: why the connection is to be closed; the client knows.
        ConnectionClosed: the client is gone.
    """
    session = _AudioHookSession(connection, calls, settings)
    try:
        session.authorize()
        await converse(connection, session)
    except Refused as refused:
        await session.disconnect(refused)
        raise
    # The client closes when it has read `closed`.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await connection.wait_closed()


@cache
def _signatures(keys: frozenset[tuple[str, bytes]], max_age_s: float) -> SignatureCheck:
    """One for all connections: it knows the nonces that were used."""
    return SignatureCheck(dict(keys), max_age_s)


class _AudioHookSession(Session):
    def __init__(self, connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
        super().__init__(NAME, calls)
        assert connection.request is not None  # noqa: S101  there was a handshake
        self._connection, self._request, self._settings = connection, connection.request, settings
        self._handshake = Handshake.of(connection.request, settings.public_url, tls=settings.tls_cert is not None)
        self._dialogue = Dialogue(self._handshake.header("audiohook-session-id") or None)
        self._error_code: int | None = None

    def authorize(self) -> None:
        """Check who it is: by a signature where AudioHook's keys are set, else by a token as the API key.

        Raises:
            Refused: nobody whom we know.
        """
        keys = self._settings.audiohook_keys
        if not keys:
            require_token(self._request, self._settings, self._handshake.header("x-api-key"))
            return
        try:
            _signatures(frozenset(keys.items()), self._settings.audiohook_max_age_s).check(self._handshake)
        except Unauthorized as error:
            raise Refused(Refusal.UNAUTHORIZED, str(error)) from error

    async def take(self, message: str | bytes) -> bool:
        """A control message or audio. A client that has paused sends none, and is not idle."""
        dialogue = self._dialogue
        try:
            steps = dialogue.text(message) if isinstance(message, str) else dialogue.audio(message)
        except ProtocolError as error:
            self._error_code = error.code
            raise
        for step in steps:
            await self._follow(step)
        return dialogue.paused or isinstance(message, bytes)

    async def disconnect(self, refused: Refused) -> None:
        """Say why no more is taken, and let the client close: it answers with `close`."""
        code = self._error_code or _CODES[refused.reason]
        reason: Literal["unauthorized", "error"] = "unauthorized" if code == 401 else "error"
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            await self._connection.send(self._dialogue.disconnect(reason, f"{code} {refused.text}"))
            async with asyncio.timeout(_CLOSE_S):
                while not self._dialogue.closed:
                    await self.take(await self._connection.recv())
                await self._connection.wait_closed()

    async def _follow(self, step: Step) -> None:
        match step:
            case Heard(samples=samples):
                for i, stream in enumerate(self.streams):
                    stream.feed(np.ascontiguousarray(samples[:, i]))
            case Gap(samples=missing, cause=cause):
                for stream in self.streams:
                    stream.gap(missing, cause)
            case Opening():
                await self._open(step)
            case Closing(returns=returns, reply=reply):
                # Who means to return has as long for it as after a cut.
                self.cut(None) if returns else self.end()
                self.over = True
                await self._connection.send(reply)
            case Reply(text=text):
                await self._connection.send(text)
            case Notice(text=text):
                _log.warning("audiohook: session %s: %s", one_line(self._dialogue.id, 80), one_line(text))

    async def _open(self, opening: Opening) -> None:
        organization = self._handshake.header("audiohook-organization-id")
        if organization and opening.organization and organization.lower() != opening.organization.lower():
            raise Refused(Refusal.UNAUTHORIZED, "the organization is not that of the handshake")
        if not opening.probe:
            name = await self.named(opening.conversation)
            for session in opening.continued:
                self._take_over(opening.conversation, session)
            _running[opening.conversation, str(self._dialogue.id)] = self
            for side in opening.media.channels:
                channel, role = voice_of(name, _TRACKS[side])
                self.streams.append(
                    self.calls.open(
                        NAME, name.call_id, channel, role, RATE, Encoding.PCMU, traceparent=self.traceparent
                    )
                )
        await self._connection.send(self._dialogue.opened(opening.media))

    def _take_over(self, conversation: str, session: str) -> None:
        """Let go of the streams of a session that this one continues; what still comes of it is not heard."""
        other = _running.pop((conversation, session), None)
        if other and other is not self:
            other.cut(None)
            other.streams.clear()

"""One connection's life, whatever its protocol: messages until the end, and every way in which it ends too early."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from schemas.audio import Role
from schemas.errors import one_line
from schemas.tracing import TRACEPARENT, traceparent_in
from undertone.gateway.calls import Calls
from undertone.gateway.names import CallName
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.gateway.streams import LiveStream

# What the library itself closes a connection with: too large a message, a text that is none, a frame that is none.
_REFUSALS: Mapping[int, Refusal] = {
    CloseCode.MESSAGE_TOO_BIG: Refusal.MESSAGE_TOO_LARGE,
    CloseCode.INVALID_DATA: Refusal.MALFORMED,
    CloseCode.PROTOCOL_ERROR: Refusal.MALFORMED,
}
# 1013 says that it may go well later, or elsewhere; 1008 that it will not.
_CLOSE_CODES = {
    Refusal.KAFKA_AWAY: CloseCode.TRY_AGAIN_LATER,
    Refusal.DRAINING: CloseCode.TRY_AGAIN_LATER,
    Refusal.TOO_MANY_CALLS: CloseCode.TRY_AGAIN_LATER,
    Refusal.TOO_MANY_CONNECTIONS: CloseCode.TRY_AGAIN_LATER,
    Refusal.MALFORMED: CloseCode.INVALID_DATA,
    Refusal.MESSAGE_TOO_LARGE: CloseCode.MESSAGE_TOO_BIG,
    Refusal.CALL_TOO_LARGE: CloseCode.MESSAGE_TOO_BIG,
}
# A close frame has room for 123 bytes.
_MAX_REASON = 120


class Session(ABC):
    """The streams of one connection, and what its messages do to them."""

    def __init__(self, wire: str, calls: Calls) -> None:
        self.over = False
        self.wire = wire
        self.calls = calls
        self.streams: list[LiveStream] = []
        self.traceparent: str | None = None
        """What its handshake carried: its streams' chunks carry it on."""

    @abstractmethod
    async def take(self, message: str | bytes) -> bool:
        """One message; says whether it held audio.

        Raises:
            Refused, MalformedMessage: no more of this connection is taken.
        """

    def end(self, refused: Refused | None = None) -> None:
        """The call is over, or `refused` says why no more of it is taken."""
        self.over = True
        for stream in self.streams:
            stream.end(refused)

    def cut(self, code: int | None) -> None:
        """The connection is gone without the protocol's end; `code` is what the other side said, if it did."""
        for stream in self.streams:
            self.calls.broke_off(stream)

    async def named(self, key: str) -> CallName:
        """What the call with this key is called, once it may begin.

        Raises:
            Refused: nobody knows it, or it may not.
        """
        name = await self.calls.names.lookup(key)
        if name is None:
            raise Refused(Refusal.UNKNOWN_CALL, "the call is not in --calls")
        self.calls.admit(name.call_id)
        return name


async def converse(connection: ServerConnection, session: Session) -> None:
    """Let a session take messages until it is over.

    Raises:
        Refused: why the connection is to be closed; the streams have ended.
        ConnectionClosed: the other side is gone; the streams have broken off.
    """
    code: int | None = None
    assert connection.request is not None  # noqa: S101  there was a handshake
    session.traceparent = traceparent_in({TRACEPARENT: "".join(connection.request.headers.get_all(TRACEPARENT))})
    try:
        await _take_all(connection, session)
    except Refused as refused:
        session.end(refused)
        raise
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else None
        raise
    finally:
        if not session.over:
            session.cut(code)


def close_of(refused: Refused) -> tuple[int, str]:
    """The code and the reason that a connection is closed with."""
    reason = one_line(refused.text, _MAX_REASON).encode()[:_MAX_REASON].decode(errors="ignore")
    return _CLOSE_CODES.get(refused.reason, CloseCode.POLICY_VIOLATION), reason


async def _take_all(connection: ServerConnection, session: Session) -> None:
    idle_s = session.calls.settings.idle_s
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(idle_s) as idle:
            while not session.over:
                if await session.take(await connection.recv()):
                    idle.reschedule(loop.time() + idle_s)
    except TimeoutError:
        raise Refused(Refusal.IDLE, f"no audio for {idle_s:g} s") from None
    except MalformedMessage as error:
        raise Refused(Refusal.MALFORMED, str(error)) from None
    except ConnectionClosed as closed:
        ours = None if closed.rcvd_then_sent else closed.sent
        if ours and ours.code in _REFUSALS:
            raise Refused(_REFUSALS[ours.code], ours.reason) from None
        raise


def voice_of(name: CallName, track: Role) -> tuple[str, Role]:
    """Channel and role of a track: a call's name is that of its inbound track, the other side has the other role."""
    if track is Role.CUSTOMER:
        return name.channel, name.role
    other = Role.AGENT if name.role is Role.CUSTOMER else Role.CUSTOMER
    return other.value, other

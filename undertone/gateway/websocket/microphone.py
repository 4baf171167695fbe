"""A browser's microphone: a start as text, int16 samples of an AudioWorklet as binary messages, a stop as text."""

import json
import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from schemas.audio import Encoding, Role
from schemas.errors import one_line
from undertone.acoustics.codecs import decode
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.access import require_origin, require_token
from undertone.gateway.websocket.messages import json_object, text_at, whole_number_at
from undertone.gateway.websocket.sessions import Session, converse

NAME = "microphone"


@dataclass(frozen=True, slots=True)
class MicrophoneStart:
    """What the page says first; without a call id it gets one."""

    call_id: str | None
    rate: int
    role: Role
    token: str | None


@dataclass(frozen=True, slots=True)
class MicrophoneStop:
    """The page has stopped."""


class MicrophoneMessages:
    """Reads the messages of one connection: start, samples, stop."""

    def __init__(self) -> None:
        self._started = False
        self._stopped = False

    def read(self, message: str | bytes) -> MicrophoneStart | MicrophoneStop | NDArray[np.int16]:
        """The next message; samples are int16 [n], little-endian as every browser has them.

        Raises:
            MalformedMessage: not what the protocol has at this place.
        """
        if isinstance(message, bytes):
            return self._samples(message)
        fields = json_object(message)
        match text_at(fields, "event"):
            case "start" if not self._started:
                start = _start(fields)
                self._started = True
                return start
            case "start":
                raise MalformedMessage("a second start on one connection")
            case "stop" if self._started:
                self._stopped = True
                return MicrophoneStop()
            case event:
                raise MalformedMessage(f"event {one_line(event, 40)!r}: want start, then samples, then stop")

    def _samples(self, message: bytes) -> NDArray[np.int16]:
        if not self._started:
            raise MalformedMessage("samples before start")
        if self._stopped:
            raise MalformedMessage("samples after stop")
        if len(message) % 2:
            raise MalformedMessage(f"{len(message)} bytes are not whole 16-bit samples")
        return decode(message, Encoding.L16LE)


def _start(fields: dict[str, object]) -> MicrophoneStart:
    rate = whole_number_at(fields, "sample_rate")
    if rate is None:
        raise MalformedMessage("start without sample_rate")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise MalformedMessage(f"sample_rate {rate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
    role = text_at(fields, "role") or "customer"
    if role not in set(Role):
        raise MalformedMessage(f"role {one_line(role, 40)!r}: want customer or agent")
    return MicrophoneStart(text_at(fields, "call_id"), rate, Role(role), text_at(fields, "token"))


def authorize(request: Request, settings: GatewaySettings) -> None:
    """Check where the page came from. Its token comes in the URL or with the start, for a page can set no header.

    Raises:
        Refused: it came from elsewhere.
    """
    require_origin(request, settings)


async def serve(connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
    """Take one microphone's sound.

    Raises:
        Refused: why the connection is to be closed.
    """
    await converse(connection, _MicrophoneSession(connection, calls))


class _MicrophoneSession(Session):
    def __init__(self, connection: ServerConnection, calls: Calls) -> None:
        super().__init__(NAME, calls)
        self._connection = connection
        self._messages = MicrophoneMessages()

    async def take(self, message: str | bytes) -> bool:
        """Start, samples or stop."""
        found = self._messages.read(message)
        match found:
            case MicrophoneStart():
                await self._begin(found)
            case MicrophoneStop():
                self.end()
            case samples:
                self.streams[0].feed(samples)
                return True
        return False

    async def _begin(self, start: MicrophoneStart) -> None:
        assert self._connection.request is not None  # noqa: S101  there was a handshake
        require_token(self._connection.request, self.calls.settings, start.token)
        # The page itself says whose call it is: --calls names what telephony systems send.
        call_id = start.call_id or f"microphone-{uuid.uuid4()}"
        stream = self.calls.open(NAME, call_id, start.role.value, start.role, start.rate, traceparent=self.traceparent)
        self.streams.append(stream)
        said = {"event": "started", "call_id": stream.name.call_id, "channel": stream.name.channel}
        await self._connection.send(json.dumps(said))

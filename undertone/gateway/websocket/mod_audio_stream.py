"""FreeSWITCH's mod_audio_stream: metadata as the first text, then binary L16, little-endian, channels interleaved."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode
from websockets.http11 import Request

from schemas.audio import Encoding
from schemas.errors import UserError, one_line
from schemas.streams import Voice, voices
from undertone.acoustics.codecs import decode
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket.access import query_of, require_token
from undertone.gateway.websocket.messages import json_object, text_at, whole_number_at
from undertone.gateway.websocket.sessions import Session, converse

NAME = "mod_audio_stream"
# The module sends the caller's side left and the other side right, and the customer is who calls in.
_ROLES = {1: "customer", 2: "customer,agent"}


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What the binary messages hold: samples per second and channel, and who speaks on each channel.

    `roles_said` tells whether somebody said so, or it is what the module does by itself.
    """

    call_id: str
    rate: int
    voices: tuple[Voice, ...]
    roles_said: bool = False


class StreamMessages:
    """Reads the messages of one connection. What the URL's query says holds before what the metadata say."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self.format: StreamFormat | None = None
        self._query = query

    def read(self, message: str | bytes) -> NDArray[np.int16] | None:
        """Samples, int16 [n, channels]; None for a text: the metadata, and what a dialplan sends later.

        Raises:
            MalformedMessage: no call id or no possible format in either, or a message that ends within a sample.
        """
        if isinstance(message, str):
            if self.format is None:
                self.format = stream_format(self._query, _metadata(message))
            return None
        if self.format is None:
            self.format = stream_format(self._query, {})
        width = 2 * len(self.format.voices)
        if len(message) % width:
            raise MalformedMessage(f"{len(message)} bytes are not whole samples of {len(self.format.voices)} channels")
        return decode(message, Encoding.L16LE).reshape(-1, len(self.format.voices))


def stream_format(query: Mapping[str, str], metadata: Mapping[str, object]) -> StreamFormat:
    """The format by a URL's query and the metadata: call_id or uuid, rate (8000), channels (1) and roles.

    Raises:
        MalformedMessage: no call id, or a rate, a number of channels or roles that are none.
    """
    said = {**metadata, **query}
    call_id = text_at(said, "call_id") or text_at(said, "uuid")
    if call_id is None:
        raise MalformedMessage("no call_id, neither in the URL's query nor in the metadata")
    rate = whole_number_at(said, "rate") or 8000
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise MalformedMessage(f"rate {rate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
    channels = whole_number_at(said, "channels") or 1
    if channels not in _ROLES:
        raise MalformedMessage(f"{one_line(channels, 20)} channels: want 1 (mono, mixed) or 2 (stereo)")
    roles = text_at(said, "roles")
    try:
        return StreamFormat(call_id, rate, voices(roles or _ROLES[channels], channels), roles is not None)
    except UserError as error:
        raise MalformedMessage(one_line(str(error).replace("--channels", "roles"))) from None


def _metadata(text: str) -> dict[str, object]:
    """The metadata as JSON; a dialplan may send any text, and then it says nothing here."""
    try:
        return json_object(text)
    except MalformedMessage:
        return {}


def authorize(request: Request, settings: GatewaySettings) -> None:
    """Check the token: in the URL, or as a header (STREAM_EXTRA_HEADERS).

    Raises:
        Refused: it is not one of the tokens.
    """
    require_token(request, settings)


async def serve(connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
    """Take one call, with one stream for each channel.

    Raises:
        Refused: why the connection is to be closed.
    """
    assert connection.request is not None  # noqa: S101  there was a handshake
    await converse(connection, _StreamSession(query_of(connection.request), calls))


class _StreamSession(Session):
    """The module has no message for the end: it closes the connection as one that is done with."""

    def __init__(self, query: Mapping[str, str], calls: Calls) -> None:
        super().__init__(NAME, calls)
        self._messages = StreamMessages(query)

    async def take(self, message: str | bytes) -> bool:
        """Metadata, or samples of all channels."""
        samples = self._messages.read(message)
        if samples is None:
            return False
        if not self.streams:
            await self._open()
        for stream, channel in zip(self.streams, samples.T, strict=True):
            stream.feed(np.ascontiguousarray(channel))
        return True

    def cut(self, code: int | None) -> None:
        """Closed as done with, the call is over."""
        if code == CloseCode.NORMAL_CLOSURE:
            self.end()
        else:
            super().cut(code)

    async def _open(self) -> None:
        found = self._messages.format
        assert found is not None  # noqa: S101  samples are not read without a format
        name = await self.named(found.call_id)
        for voice in found.voices:
            alone = len(found.voices) == 1 and not found.roles_said
            channel, role = (name.channel, name.role) if alone else (voice.channel, voice.role)
            self.streams.append(
                self.calls.open(NAME, name.call_id, channel, role, found.rate, traceparent=self.traceparent)
            )

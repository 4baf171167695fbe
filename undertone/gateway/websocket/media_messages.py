"""Messages of Media Streams, one after the other: text in, starts, samples and stops out. No socket."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.errors import one_line
from undertone.acoustics.codecs import decode
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.dialects import Dialect, Start, read_start
from undertone.gateway.websocket.messages import json_object, text_at, whole_number_at

# Inbound is what the platform hears from the call, outbound what it plays to it.
_TRACKS = {
    "inbound": Role.CUSTOMER,
    "inbound_track": Role.CUSTOMER,
    "outbound": Role.AGENT,
    "outbound_track": Role.AGENT,
}


@dataclass(frozen=True, slots=True)
class Media:
    """Samples of one track, int16 [n]. `chunk` counts a track's messages, `timestamp` is in milliseconds."""

    role: Role
    chunk: int | None
    timestamp: int | None
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Stop:
    """The platform ends the stream."""


class MediaMessages:
    """Reads the messages of one connection, in the order of the protocol: start, media, stop."""

    def __init__(self, dialect: Dialect) -> None:
        self.start: Start | None = None
        self._dialect = dialect
        self._stopped = False

    def read(self, message: str | bytes) -> Start | Media | Stop | None:
        """The next message; None for one that says nothing of audio (connected, mark, dtmf, and what comes new).

        Raises:
            MalformedMessage: not what the protocol has at this place.
        """
        fields = json_object(message)
        event = text_at(fields, "event")
        match event:
            case "start":
                return self._read_start(fields)
            case "media":
                return self._read_media(fields)
            case "stop":
                self._stopped = True
                return Stop()
            case None:
                raise MalformedMessage("a message without event")
            case _:
                return None

    def _read_start(self, fields: Mapping[str, Any]) -> Start:
        if self.start is not None:
            raise MalformedMessage("a second start on one connection")
        start = read_start(fields, self._dialect)
        if not LOWEST_RATE <= start.rate <= HIGHEST_RATE:
            raise MalformedMessage(f"sample rate {start.rate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
        self.start = start
        return start

    def _read_media(self, fields: Mapping[str, Any]) -> Media:
        if self.start is None:
            raise MalformedMessage("media before start")
        if self._stopped:
            raise MalformedMessage("media after stop")
        track = text_at(fields, "media.track") or "inbound"
        if track not in _TRACKS:
            raise MalformedMessage(f"media.track {one_line(track, 40)!r}: want inbound or outbound")
        payload = text_at(fields, "media.payload")
        if payload is None:
            raise MalformedMessage("media without payload")
        try:
            samples = decode(base64.b64decode(payload, validate=True), self.start.encoding)
        except binascii.Error:
            raise MalformedMessage("media.payload is no base64") from None
        except ValueError:  # not ASCII, or half a sample
            raise MalformedMessage("media.payload is no base64 of whole samples") from None
        return Media(
            _TRACKS[track], whole_number_at(fields, "media.chunk"), whole_number_at(fields, "media.timestamp"), samples
        )

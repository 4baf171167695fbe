"""Media Streams, mod_audio_stream and the microphone for the fuzzer: each of its messages is a whole conversation."""

import json
from collections.abc import Callable, Sequence

import numpy as np

from schemas.audio import Encoding, Role
from tests.gateway.fuzz_target import Target
from tests.gateway.websocket import wire_messages
from undertone.acoustics.codecs import encode
from undertone.gateway.websocket.dialects import EXOTEL, PLIVO, TELNYX, TWILIO, Dialect
from undertone.gateway.websocket.media_messages import Media, MediaMessages
from undertone.gateway.websocket.microphone import MicrophoneMessages
from undertone.gateway.websocket.mod_audio_stream import StreamMessages
from undertone.gateway.websocket.tracks import Track

_SOUND = np.random.default_rng(5).integers(-8000, 8000, 480).astype(np.int16)
_BETWEEN = b"\x1e\x1e\x1e\x1e"
_PCM = [encode(piece, Encoding.L16LE) for piece in wire_messages.frames(_SOUND)]


def twilio() -> Target:
    """Both tracks, as SignalWire has them, too."""
    return _media(TWILIO, [wire_messages.twilio({"inbound": _SOUND, "outbound": _SOUND}, "CA1", {"token": "b"})])


def telnyx() -> Target:
    """With messages held back."""
    parameters = [{"name": "token", "value": "b"}]
    return _media(
        TELNYX,
        [wire_messages.telnyx(_SOUND, encoding=name, custom_parameters=parameters) for name in ("PCMU", "PCMA", "L16")],
    )


def plivo() -> Target:
    """With the time of day as timestamps."""
    return _media(PLIVO, [wire_messages.plivo(_SOUND, encoding=name) for name in ("audio/x-mulaw", "audio/x-l16")])


def exotel() -> Target:
    """Raw PCM."""
    return _media(EXOTEL, [wire_messages.exotel(_SOUND)])


def mod_audio_stream() -> Target:
    """Metadata, then binary messages."""
    texts = (json.dumps({"call_id": "a", "rate": 8000, "channels": 2}), json.dumps({"uuid": "b", "roles": "agent"}))
    return Target([_joined([text, *_PCM]) for text in texts], lambda data: _read(StreamMessages({}).read, data))


def microphone() -> Target:
    """A start, then binary messages, then a stop."""
    start = json.dumps({"event": "start", "sample_rate": 48000, "role": "agent", "call_id": "a"})
    return Target([_joined([start, *_PCM, '{"event": "stop"}'])], lambda data: _read(MicrophoneMessages().read, data))


def _media(dialect: Dialect, conversations: Sequence[Sequence[str]]) -> Target:
    def take(message: bytes) -> None:
        messages = MediaMessages(dialect)
        tracks: dict[Role, Track] = {}

        def read(text: str | bytes) -> None:
            found = messages.read(text)
            if isinstance(found, Media) and messages.start:
                new = Track(messages.start.rate, dialect.reorder, wall_clock=dialect.wall_clock)
                assert all(0 <= stretch.gap < 2**40 for stretch in tracks.setdefault(found.role, new).take(found))

        _read(read, message)
        for track in tracks.values():
            list(track.flush())

    return Target([_joined(conversation) for conversation in conversations], take)


def _joined(messages: Sequence[str | bytes]) -> bytes:
    return _BETWEEN.join(
        b"B" + message if isinstance(message, bytes) else b"T" + message.encode() for message in messages
    )


def _read(read: Callable[[str | bytes], object], data: bytes) -> None:
    """The messages of a conversation; a WebSocket's texts are UTF-8."""
    for message in data.split(_BETWEEN):
        read(message[1:] if message.startswith(b"B") else message[1:].decode(errors="replace"))

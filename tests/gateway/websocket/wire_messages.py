"""Messages as each platform's documents show them, made of samples: what a test's client sends."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from undertone.acoustics.codecs import encode

Maker = Callable[..., list[str]]


def frames(samples: NDArray[np.int16], size: int = 160) -> Iterator[NDArray[np.int16]]:
    """`samples` in pieces of 20 ms at 8 kHz."""
    return (samples[i : i + size] for i in range(0, len(samples), size))


def payload(samples: NDArray[np.int16], encoding: Encoding) -> str:
    """Base64, as every dialect has it."""
    return base64.b64encode(encode(samples, encoding)).decode()


def twilio(
    tracks: dict[str, NDArray[np.int16]], call_sid: str = "CA1", parameters: dict[str, str] | None = None
) -> list[str]:
    """connected, start, media of the tracks in turn, stop."""
    start = {
        "accountSid": "AC1",
        "streamSid": "MZ1",
        "callSid": call_sid,
        "tracks": list(tracks),
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters or {},
    }
    messages: list[dict[str, Any]] = [
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {"event": "start", "start": start},
    ]
    cut = {track: list(frames(samples)) for track, samples in tracks.items()}
    for i in range(max(map(len, cut.values()))):
        for track, pieces in cut.items():
            if i < len(pieces):
                media = {
                    "track": track,
                    "chunk": str(i + 1),
                    "timestamp": str(5 + 20 * i),
                    "payload": payload(pieces[i], Encoding.PCMU),
                }
                messages.append({"event": "media", "media": media})
    messages.append({"event": "stop", "stop": {"accountSid": "AC1", "callSid": call_sid}})
    for number, message in enumerate(messages[1:]):
        message.update(sequenceNumber=str(number + 1), streamSid="MZ1")
    return [json.dumps(message) for message in messages]


def telnyx(samples: NDArray[np.int16], call: str = "v3:abc", encoding: str = "PCMU", **start: Any) -> list[str]:
    """Snake case, numbers as strings."""
    written = {"PCMU": Encoding.PCMU, "PCMA": Encoding.PCMA, "L16": Encoding.L16}[encoding]
    fields = {
        "user_id": "u",
        "call_control_id": call,
        "media_format": {"encoding": encoding, "sample_rate": 8000, "channels": 1},
        **start,
    }
    messages: list[dict[str, Any]] = [
        {"event": "connected", "version": "1.0.0"},
        {"event": "start", "sequence_number": "1", "start": fields, "stream_id": "32DE"},
    ]
    for i, piece in enumerate(frames(samples)):
        media = {
            "track": "inbound",
            "chunk": str(i + 1),
            "timestamp": str(20 * i),
            "payload": payload(piece, written),
        }
        messages.append({"event": "media", "sequence_number": str(i + 2), "media": media, "stream_id": "32DE"})
    messages.append({"event": "stop", "stop": {"call_control_id": call}, "stream_id": "32DE"})
    return [json.dumps(message) for message in messages]


def plivo(samples: NDArray[np.int16], call: str = "12345678-aaaa", encoding: str = "audio/x-mulaw") -> list[str]:
    """Numbers as numbers, the time of day as timestamp, parameters as one string."""
    written = Encoding.PCMU if "mulaw" in encoding else Encoding.L16LE
    start = {
        "callId": call,
        "streamId": "87654321-bbbb",
        "accountId": "MA1",
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": encoding, "sampleRate": 8000},
    }
    extra = "userId=12345;token=sesame"
    messages: list[dict[str, Any]] = [{"sequenceNumber": 0, "event": "start", "start": start, "extra_headers": extra}]
    for i, piece in enumerate(frames(samples)):
        media = {
            "track": "inbound",
            # The time of day jitters.
            "timestamp": str(1705312200000 + 20 * i + (i * 37) % 30),
            "chunk": i + 1,
            "payload": payload(piece, written),
        }
        messages.append({"sequenceNumber": i + 1, "event": "media", "streamId": "87654321-bbbb", "media": media})
    messages.append({"event": "stop", "streamId": "87654321-bbbb"})
    return [json.dumps(message) for message in messages]


def exotel(samples: NDArray[np.int16], call: str = "ab12", encoding: str = "audio/x-raw") -> list[str]:
    """Raw PCM, 100 ms in a message, no track."""
    start = {
        "stream_sid": "MZ2",
        "call_sid": call,
        "account_sid": "exo1",
        "from": "+919876543210",
        "to": "+918047491899",
        "custom_parameters": {"token": "sesame"},
        "media_format": {"encoding": encoding, "sample_rate": "8000", "bit_rate": "16"},
    }
    messages: list[dict[str, Any]] = [
        {"event": "connected"},
        {"event": "start", "sequence_number": "1", "stream_sid": "MZ2", "start": start},
    ]
    for i, piece in enumerate(frames(samples, 800)):
        media = {"chunk": str(i + 2), "timestamp": str(100 * i), "payload": payload(piece, Encoding.L16LE)}
        messages.append({"event": "media", "sequence_number": str(i + 2), "stream_sid": "MZ2", "media": media})
    messages.append({"event": "stop", "stop": {"call_sid": call, "reason": "callended"}, "stream_sid": "MZ2"})
    return [json.dumps(message) for message in messages]

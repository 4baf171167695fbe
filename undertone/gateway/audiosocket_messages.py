"""AudioSocket's messages: bytes to messages and back, without a socket.

A message is its type (one byte), the length of its payload (two bytes, big-endian) and the payload: 0x00 the end, 0x01
the UUID (16 bytes, first of all), 0x03 a DTMF digit, 0x10 to 0x18 samples, signed 16-bit little-endian, at the type's
rate, 0xff an error.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from undertone.gateway.refusals import MalformedMessage, Refusal, Refused

_HEADER = struct.Struct(">BH")


class Kind(IntEnum):
    """Types of messages that are not audio. Silence is of the protocol's first version, and tells no length."""

    END = 0x00
    UUID = 0x01
    SILENCE = 0x02
    DTMF = 0x03
    ERROR = 0xFF


RATES = {
    0x10: 8_000,
    0x11: 12_000,
    0x12: 16_000,
    0x13: 24_000,
    0x14: 32_000,
    0x15: 44_100,
    0x16: 48_000,
    0x17: 96_000,
    0x18: 192_000,
}
_KINDS = frozenset(Kind) | RATES.keys()
# The payload of the error message: the protocol leaves its codes to the application.
ERROR_CODES = {reason: code for code, reason in enumerate(Refusal, start=0x10)}


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came."""

    kind: int
    payload: bytes


def encode_message(kind: int, payload: bytes = b"") -> bytes:
    """A message as it goes over the wire."""
    return _HEADER.pack(kind, len(payload)) + payload


class Parser:
    """Bytes of any lengths in, whole messages out. It holds less than one message."""

    def __init__(self, max_bytes: int = 65_535) -> None:
        self._max_bytes = max_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole with `data`.

        Raises:
            MalformedMessage: an unknown type, or a payload that is none of its type; nothing more can be read.
            Refused: a message is too large.
        """
        data = self._rest + data if self._rest else data
        found, start = [], 0
        while len(data) - start >= _HEADER.size:
            kind, length = _HEADER.unpack_from(data, start)
            self._check(kind, length)
            stop = start + _HEADER.size + length
            if stop > len(data):
                break
            found.append(Message(kind, data[start + _HEADER.size : stop]))
            start = stop
        self._rest = data[start:]
        return found

    def _check(self, kind: int, length: int) -> None:
        if kind not in _KINDS:
            raise MalformedMessage(f"type 0x{kind:02x} is none of AudioSocket")
        if kind == Kind.UUID and length != 16:
            raise MalformedMessage(f"a UUID of {length} bytes, want 16")
        if kind in RATES and length % 2:
            raise MalformedMessage(f"{length} bytes of audio are not whole 16-bit samples")
        if length > self._max_bytes:
            raise Refused(Refusal.MESSAGE_TOO_LARGE, f"a message of {length} bytes, at most {self._max_bytes}")

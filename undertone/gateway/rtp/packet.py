"""RTP packets (RFC 3550, 5.1): header, contributing sources, extension and padding taken off the audio."""

import struct
from typing import NamedTuple

from undertone.gateway.refusals import MalformedMessage

# One frame of Ethernet is 1500 bytes; 20 ms of L16 at 48 kHz in stereo, in fragments, is 3840.
MAX_BYTES = 4096
VERSION = 2
_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
# Second bytes of RTCP packets where both share a port (RFC 5761, 4): payload types 64 to 95 with the marker bit.
_RTCP_TYPES = range(192, 224)


class RtpPacket(NamedTuple):
    """What a packet says, and the bytes of its audio."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def is_rtcp(datagram: bytes) -> bool:
    """Whether a datagram of an RTP port is RTCP that was sent to the same port."""
    return len(datagram) > 1 and datagram[1] in _RTCP_TYPES


def peek(datagram: bytes) -> RtpPacket:
    """The fixed header alone, which SRTP leaves open; without payload.

    Raises:
        MalformedMessage: too long, too short, or another version.
    """
    size = len(datagram)
    if size > MAX_BYTES:
        raise MalformedMessage(f"{size} bytes, at most {MAX_BYTES} are read")
    if size < _HEADER.size:
        raise MalformedMessage(f"{size} bytes, an RTP header has {_HEADER.size}")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if first >> 6 != VERSION:
        raise MalformedMessage(f"RTP version {first >> 6}, not {VERSION}")
    return RtpPacket(second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, b"")


def parse(datagram: bytes) -> RtpPacket:
    """Take a datagram apart.

    Raises:
        MalformedMessage: as `peek`, or shorter than its own header, extension and padding say.
    """
    packet = peek(datagram)
    first, size = datagram[0], len(datagram)
    start, end = _HEADER.size + 4 * (first & 0x0F), size
    if first & 0x10:
        start += _extension_bytes(datagram, start)
    if first & 0x20:
        end -= _padding_bytes(datagram)
    if start > end:
        raise MalformedMessage(f"{size} bytes, but its header and padding take {start + size - end}")
    return packet._replace(payload=datagram[start:end])


def _extension_bytes(datagram: bytes, start: int) -> int:
    if start + _EXTENSION.size > len(datagram):
        raise MalformedMessage("ends before its header extension")
    _, words = _EXTENSION.unpack_from(datagram, start)
    return _EXTENSION.size + 4 * int(words)


def _padding_bytes(datagram: bytes) -> int:
    """The last byte counts the padding, itself included."""
    if not (count := datagram[-1]):
        raise MalformedMessage("padding of no bytes")
    return count

"""RTCP (RFC 3550, 6): what a source tells of itself, and the receiver reports and goodbyes that go back to it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.packet import VERSION

_CNAME = 1
_HEADER = struct.Struct("!BBH")
_BLOCK = struct.Struct("!IIIIII")
# A compound packet of the largest frame; a source needs a tenth of it.
MAX_BYTES = 1500
_MAX_REASON = 255


class Kind(IntEnum):
    """Types of RTCP packets that a receiver reads or writes."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    DESCRIPTION = 202
    GOODBYE = 203


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A source's clock: its NTP time (64 bits) at an RTP timestamp, and what it has sent by then."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int


@dataclass(slots=True)
class Control:
    """What a compound packet told: who speaks, the last sender report in it, and the sources that leave."""

    ssrc: int | None = None
    report: SenderReport | None = None
    leaving: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What is reported to one source (6.4.1)."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int = 0
    """The middle 32 bits of the NTP time of its last sender report; 0 where none has come."""
    delay: int = 0
    """From that report's arrival to now, in 65536ths of a second."""


def parse(datagram: bytes) -> Control:
    """Take a compound packet apart; kinds of packets that say nothing to a receiver are passed over.

    Raises:
        MalformedMessage: another version, or lengths that do not add up.
    """
    if len(datagram) > MAX_BYTES:
        raise MalformedMessage(f"{len(datagram)} bytes of RTCP, at most {MAX_BYTES} are read")
    control = Control()
    for count, kind, body in _packets(datagram):
        match kind:
            case Kind.SENDER_REPORT if len(body) >= 24:
                ssrc, ntp, timestamp, packets, octets = struct.unpack_from("!IQIII", body)
                control.report = SenderReport(ssrc, ntp, timestamp, packets, octets)
                control.ssrc = ssrc
            case Kind.RECEIVER_REPORT if len(body) >= 4:
                control.ssrc = int.from_bytes(body[:4])
            case Kind.GOODBYE if len(body) >= 4 * count:
                control.leaving += struct.unpack_from(f"!{count}I", body)
            case Kind.SENDER_REPORT | Kind.RECEIVER_REPORT | Kind.GOODBYE:
                raise MalformedMessage(f"RTCP packet of type {kind} with {len(body)} bytes")
    return control


def _packets(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Count, type and body of each packet of a compound one; the padding of the last is left in its body."""
    position = 0
    if len(datagram) < _HEADER.size + 4:
        raise MalformedMessage(f"{len(datagram)} bytes, too few for RTCP")
    while position < len(datagram):
        if position + _HEADER.size > len(datagram):
            raise MalformedMessage("ends within the header of an RTCP packet")
        first, kind, words = _HEADER.unpack_from(datagram, position)
        if first >> 6 != VERSION:
            raise MalformedMessage(f"RTCP version {first >> 6}, not {VERSION}")
        start = position + _HEADER.size
        position = start + 4 * words
        if position > len(datagram):
            raise MalformedMessage(f"an RTCP packet of {4 * words} bytes ends behind its datagram")
        yield first & 0x1F, kind, datagram[start:position]


def receiver_report(ssrc: int, cname: str, blocks: list[ReportBlock]) -> bytes:
    """A receiver report from `ssrc` with up to 31 blocks, and the name that every compound packet must have."""
    body = ssrc.to_bytes(4) + b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.lost & 0xFFFFFF,
            block.highest & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_report,
            block.delay & 0xFFFFFFFF,
        )
        for block in blocks
    )
    name = cname.encode()
    chunk = ssrc.to_bytes(4) + bytes((_CNAME, len(name))) + name
    # One zero at least ends the items, and the chunk ends on four bytes.
    chunk += bytes(4 - len(chunk) % 4)
    return _packet(Kind.RECEIVER_REPORT, len(blocks), body) + _packet(Kind.DESCRIPTION, 1, chunk)


def goodbye(ssrc: int, cname: str, reason: str) -> bytes:
    """An empty report and a goodbye from `ssrc`: it receives no more, and why."""
    text = reason.encode()[:_MAX_REASON]
    body = ssrc.to_bytes(4) + bytes((len(text),)) + text
    return receiver_report(ssrc, cname, []) + _packet(Kind.GOODBYE, 1, body + bytes(-len(body) % 4))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(VERSION << 6 | count, kind, len(body) // 4) + body

"""One source of packets (an SSRC): its sequence, its jitter buffer, its clock's reports; and who may take its place."""

from typing import NamedTuple

from undertone.gateway.rtp.jitter import Arrival, JitterBuffer
from undertone.gateway.rtp.packet import RtpPacket
from undertone.gateway.rtp.rtcp import ReportBlock, SenderReport
from undertone.gateway.rtp.sequence import MAX_MISORDER, Reception

# What another source may send before it is heard: 2 s of 20 ms packets.
_MAX_WAITING = 100
# RFC 3550, A.1: so many packets in sequence, and a stray datagram is none of them.
_MIN_SEQUENTIAL = 2

Peer = tuple[str, int]


class Source:
    """Puts the packets of one SSRC in order, and counts for the reports to it."""

    def __init__(self, ssrc: int, clock_rate: int, depth_s: float) -> None:
        self.ssrc = ssrc
        self.reception = Reception(clock_rate)
        self.buffer = JitterBuffer(depth_s)
        self.last_arrived = 0.0
        self._report: SenderReport | None = None
        self._report_arrived = 0.0

    def push(self, packet: RtpPacket, now: float) -> Arrival | None:
        """Take a packet in; None where it is another source's, or of another sequence of this one."""
        if packet.ssrc != self.ssrc or (extended := self.reception.extend(packet.sequence)) is None:
            return None
        self.last_arrived = now
        self.reception.count(extended, packet, now)
        return self.buffer.push(extended, packet, now)

    def reported(self, report: SenderReport, now: float) -> None:
        """A sender report came."""
        self._report, self._report_arrived = report, now

    def block(self, now: float) -> ReportBlock:
        """What is reported to it at `now`."""
        reception, report = self.reception, self._report
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=reception.fraction_lost(),
            lost=reception.lost,
            highest=reception.reported_highest,
            jitter=reception.jitter,
            last_report=report.ntp >> 16 & 0xFFFFFFFF if report else 0,
            delay=int((now - self._report_arrived) * 65536) if report else 0,
        )


class Waiting(NamedTuple):
    """A packet that waits, with the datagram that it came in, from whom and when."""

    packet: RtpPacket
    datagram: bytes
    peer: Peer
    arrived: float


class Successor:
    """Packets that are not of the present sequence: a new SSRC, or the same source after a restart.

    They take over once there are two in sequence and the present source has been silent for `depth_s`; all that waited
    is then heard. While the present source goes on, they are dropped.
    """

    def __init__(self, depth_s: float) -> None:
        self._depth_s = depth_s
        self._waiting: list[Waiting] = []

    def push(self, waiting: Waiting) -> int:
        """Let a packet wait; returns how many were dropped for it."""
        dropped = 0
        if self._waiting:
            last = self._waiting[-1]
            ahead = (waiting.packet.sequence - last.packet.sequence) % (1 << 16)
            follows = waiting.peer == last.peer and waiting.packet.ssrc == last.packet.ssrc and 0 < ahead < MAX_MISORDER
            if not follows or len(self._waiting) >= _MAX_WAITING:
                dropped = len(self._waiting)
                self._waiting = []
        self._waiting.append(waiting)
        return dropped

    def due(self, last_arrived: float) -> float | None:
        """When those that wait take over from a source that was last heard at `last_arrived`; None: not yet known."""
        return last_arrived + self._depth_s if len(self._waiting) >= _MIN_SEQUENTIAL else None

    def take(self) -> list[Waiting]:
        """All that wait; none do any more."""
        waiting, self._waiting = self._waiting, []
        return waiting

"""The jitter buffer: packets of one source in the order of their sequence numbers, each at most once.

Nothing is played here, so what comes in order passes at once. Only a hole makes later packets wait, at most `depth_s`:
then what is missing is lost, and what comes of it after that is late. The first packets wait as long, so that those
which overtook the first are not taken for the beginning.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from undertone.gateway.rtp.packet import RtpPacket

# A sender that leaves one packet out and then rushes would fill memory within the depth: 10 s of 20 ms packets.
MAX_HELD = 500
# Numbers that count as lost are remembered to tell a late packet from a repeat; twice what one hole can be.
_MAX_MISSING = 6000


class Arrival(StrEnum):
    """What became of a packet as it arrived."""

    TAKEN = "taken"
    REPEATED = "repeated"
    LATE = "late"


class Ordered(NamedTuple):
    """A packet in its turn; `lost` packets before it never came. `arrived` is when it did, by the caller's clock."""

    packet: RtpPacket
    lost: int
    arrived: float


class JitterBuffer:
    """Holds packets of one source until their turn; `extended` sequence numbers do not wrap."""

    def __init__(self, depth_s: float) -> None:
        self._depth_s = depth_s
        self._next: int | None = None
        self._held: dict[int, tuple[RtpPacket, float]] = {}
        self._missing: set[int] = set()

    def push(self, extended: int, packet: RtpPacket, now: float) -> Arrival:
        """Put a packet that arrived at `now` in its place; `take` then gives what is due."""
        if self._next is not None and extended < self._next:
            if extended not in self._missing:
                return Arrival.REPEATED
            self._missing.remove(extended)
            return Arrival.LATE
        if extended in self._held:
            return Arrival.REPEATED
        self._held[extended] = (packet, now)
        return Arrival.TAKEN

    def __len__(self) -> int:
        return len(self._held)

    @property
    def due(self) -> float | None:
        """When the first of the held packets will have waited long enough; None where none waits."""
        return min(at for _, at in self._held.values()) + self._depth_s if self._held else None

    def take(self, now: float) -> Iterator[Ordered]:
        """Packets whose turn it is at `now`."""
        while self._held:
            if self._next not in self._held and len(self._held) <= MAX_HELD and (self.due or 0.0) > now:
                return
            yield self._release()

    def flush(self) -> Iterator[Ordered]:
        """All that is held, in order: nothing more is waited for."""
        while self._held:
            yield self._release()

    def _release(self) -> Ordered:
        turn = min(self._held)
        lost = turn - self._next if self._next is not None else 0
        if lost:
            self._missing.update(range(turn - lost, turn))
            if len(self._missing) > _MAX_MISSING:
                self._missing = {number for number in self._missing if number >= turn - _MAX_MISSING // 2}
        self._next = turn + 1
        packet, arrived = self._held.pop(turn)
        return Ordered(packet, lost, arrived)

"""Sequence numbers that never wrap, and what a receiver reports of them (RFC 3550, appendix A)."""

from undertone.gateway.rtp.packet import RtpPacket

# RFC 3550, A.1: a number this far ahead is a loss, this far behind a late packet; all else is another beginning.
MAX_DROPOUT, MAX_MISORDER = 3000, 100
_CYCLE = 1 << 16
_LOWEST_LOSS, _HIGHEST_LOSS = -(1 << 23), (1 << 23) - 1


class Reception:
    """One source's packets as they arrive, before anything is put in order: counts for the reports to it."""

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self.highest = -1
        """The highest sequence number so far, with the number of wraps above its 16 bits; -1 before the first."""
        self.received = 0
        self._first = 0
        self._transit: int | None = None
        self._jitter = 0.0
        self._expected_before = 0
        self._received_before = 0

    def extend(self, sequence: int) -> int | None:
        """A packet's sequence number without its wraps; None where it belongs to no sequence that could be ours."""
        if self.highest < 0:
            # From the second cycle on: what overtook the first packet must not come below 0.
            return _CYCLE + sequence
        ahead = (sequence - self.highest) % _CYCLE
        if ahead < MAX_DROPOUT:
            return self.highest + ahead
        behind = _CYCLE - ahead
        return self.highest - behind if behind <= MAX_MISORDER else None

    def count(self, extended: int, packet: RtpPacket, now: float) -> None:
        """Count a packet that arrived at `now`, repeats and late ones too, as the RFC does."""
        if self.highest < 0:
            self._first = self.highest = extended
        self._first = min(self._first, extended)
        self.highest = max(self.highest, extended)
        self.received += 1
        transit = int(now * self.clock_rate) - packet.timestamp
        if self._transit is not None:
            # Both clocks wrap at 32 bits, at different moments.
            change = (transit - self._transit + 0x80000000) % 0x100000000 - 0x80000000
            self._jitter += (abs(change) - self._jitter) / 16
        self._transit = transit

    @property
    def reported_highest(self) -> int:
        """The highest number as reports have it: wraps count from the first packet on."""
        return self.highest - _CYCLE

    @property
    def jitter(self) -> int:
        """Interarrival jitter in units of the timestamp (6.4.1)."""
        return int(self._jitter)

    @property
    def lost(self) -> int:
        """Packets that did not come, less repeats: below 0 where more came than were expected."""
        return max(_LOWEST_LOSS, min(_HIGHEST_LOSS, self._expected - self.received))

    @property
    def _expected(self) -> int:
        return self.highest - self._first + 1 if self.highest >= 0 else 0

    def fraction_lost(self) -> int:
        """Loss since the last call in 256ths (A.3); 0 where more came than were expected."""
        expected = self._expected - self._expected_before
        lost = expected - (self.received - self._received_before)
        self._expected_before, self._received_before = self._expected, self.received
        return min(255, (lost << 8) // expected) if expected > 0 and lost > 0 else 0

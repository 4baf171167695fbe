"""Where each partition of this worker stands, where it ends, and since when it has not moved.

It outlives sessions: a worker that joins again and again without getting on is as stuck as one that hangs.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping

from worker.metrics import WorkerMetrics

# An answer of Kafka that is older tells nothing of now: the ends are asked for every five seconds.
FRESH_S = 30.0


class Progress:
    """The loop's thread says how far it has come, the watch's where the partitions end; either may ask."""

    def __init__(
        self,
        metrics: WorkerMetrics,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`wall_clock` is what Kafka's timestamps are held against."""
        self._metrics = metrics
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._positions: dict[int, int | None] = {}  # of the partitions that are ours; None until it is known
        self._ends: dict[int, int] = {}
        self._oldest_ms: dict[int, int] = {}  # Kafka's timestamp of the first record that is not committed
        self._moved: dict[int, float] = {}
        self._answered = self._restored = clock()

    def reached(self, assigned: Collection[int], positions: Mapping[int, int]) -> None:
        """A pass of the loop is over, and all before `positions` is committed."""
        now = self._clock()
        with self._lock:
            for gone in self._positions.keys() - set(assigned):
                del self._positions[gone], self._moved[gone]
                self._metrics.forget_partition(gone)
            for number in assigned:
                before, position = self._positions.get(number), positions.get(number)
                if number not in self._moved or (position is not None and (before is None or position > before)):
                    self._moved[number] = now
                self._positions[number] = before if position is None else position

    def restoring(self) -> None:
        """State is being read: what is restored is not heard yet, and moves all the same."""
        now = self._clock()
        with self._lock:
            self._restored = now
            self._moved |= {number: now for number, position in self._positions.items() if position is None}

    def partitions(self) -> list[int]:
        """The partitions that are ours, as of the loop's last pass."""
        with self._lock:
            return sorted(self._positions)

    def behind(self, ends: Mapping[int, int]) -> dict[int, int]:
        """Where those of our partitions stand that have not been read to their end."""
        with self._lock:
            positions = self._positions.items()
            return {number: at for number, at in positions if at is not None and at < ends.get(number, 0)}

    def answered(self, ends: Mapping[int, int], oldest_ms: Mapping[int, int] | None = None) -> None:
        """Kafka has said where partitions end: all of those that are ours, where it knows.

        `oldest_ms` are the timestamps of what lies at the positions that `behind` gave, as far as it could be read.
        """
        now = self._clock()
        with self._lock:
            self._answered = now
            self._ends = dict(ends)
            self._oldest_ms = dict(oldest_ms or {})
            for number, position in self._positions.items():
                end = ends.get(number)
                if position is not None and end is not None and position >= end:
                    self._moved[number] = now

    @property
    def silence_s(self) -> float:
        """How long Kafka has not answered."""
        return self._clock() - self._answered

    @property
    def is_restoring(self) -> bool:
        """Whether state has been read within the last seconds."""
        return self._clock() - self._restored < FRESH_S

    def stalled(self, seconds: float) -> dict[int, float]:
        """The partitions that have stood still for so long, with work left or with no word of their end."""
        now = self._clock()
        with self._lock:
            return {number: now - moved for number, moved in sorted(self._moved.items()) if now - moved >= seconds}

    def tell(self) -> None:
        """Bring the gauges up to date."""
        now = self._clock()
        with self._lock:
            fresh = now - self._answered < FRESH_S
            for number, position in self._positions.items():
                end = self._ends.get(number) if fresh else None
                lag = None if position is None or end is None else max(0, end - position)
                self._metrics.tell_partition(number, lag, self._age(number, lag), now - self._moved[number])

    def _age(self, number: int, lag: int | None) -> float | None:
        """How old the oldest record is that is not committed; None where nobody knows."""
        if not lag:
            return None if lag is None else 0.0
        oldest_ms = self._oldest_ms.get(number)
        # The broker's clock may be ahead of this machine's.
        return None if oldest_ms is None else max(0.0, self._wall_clock() - oldest_ms / 1000)

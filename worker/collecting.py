"""How long the broker may collect chunks for the next transaction: the fewer come, the sooner they are answered.

A transaction costs some 6 ms, however many chunks it holds. So where many come, many share one. Where few do, a worker
has time to spare, and gives it for events that come sooner.
"""

import time

from kafka import KafkaConsumer

from undertone.messaging.workarounds import collect

# From so many chunks a second on the whole time is taken: a transaction of 150 ms then holds 90 of them, and takes a
# seventh of the time that they take.
_MANY = 600.0
# What all transactions of a second take of a core is bounded by this: a fifth.
_SHORTEST_MS = 30
# Over how long the chunks are counted.
_SECONDS = 1.0


class Collecting:
    """Sets the time before each poll, by the chunks that polls have brought."""

    def __init__(self, consumer: KafkaConsumer, longest_ms: int, most_bytes: int) -> None:
        self._consumer = consumer
        self._longest_ms = longest_ms
        self._most_bytes = most_bytes
        self._rate = 0.0
        self._heard = 0
        self._since = time.monotonic()

    def heard(self, records: int) -> None:
        """What a poll has brought."""
        self._heard += records

    def begin(self) -> None:
        """Let the fetch that the next poll sends be answered in time."""
        now = time.monotonic()
        passed = now - self._since
        if passed >= _SECONDS / 20:
            kept = 0.5 ** (passed / _SECONDS)
            self._rate = kept * self._rate + (1 - kept) * self._heard / passed
            self._heard, self._since = 0, now
        collect(self._consumer, *self.times(self._rate))

    def times(self, rate: float) -> tuple[int, int]:
        """At so many chunks a second: for how many ms the broker collects, and which number of bytes ends it."""
        shortest = min(_SHORTEST_MS, self._longest_ms)
        if rate * shortest < 1000:  # less than one in the shortest time: each is answered at once
            return self._longest_ms, 1
        return max(shortest, min(self._longest_ms, round(self._longest_ms * rate / _MANY))), self._most_bytes

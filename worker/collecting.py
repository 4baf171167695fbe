"""How long the broker may collect chunks for the next transaction, from when on, and how much of each partition.

A transaction costs some 6 ms, however many chunks it holds. So where many come, many share one. Where few do, a worker
has time to spare, and gives it for events that come sooner. Where a core is more than half full many share one anyway.
"""

import time

import numpy as np
from kafka import KafkaConsumer

from undertone.messaging.fetching import collect, fetch_ahead, partitions_behind

# Up to so many chunks a second the shortest time is taken, for events that come within 40 ms: a tenth of a core works
# on the chunks, a fifth on transactions.
_FEW = 400.0
# At so many the whole time: 200 ms bring 160 chunks then, of whose time their transaction is a tenth.
_MANY = 800.0
# At so many, of which a core is more than half full, the shortest again: it brings 55, and while these are worked on
# come more. With 2,400 half of all events take a quarter longer at 70 % of a core, and a chunk costs the same.
_FULL = 1800.0
# What all transactions of a second take of a core is bounded by this: a fifth.
_SHORTEST_MS = 30
# Brokers take batches of records up to here by default. One that is larger than its partition's share comes only where
# that partition is the answer's first.
_LARGEST_BATCH = 1024 * 1024
# Over how long the chunks are counted.
_SECONDS = 1.0


class Collecting:
    """Sets the time and the shares before each poll and behind it, by the chunks that polls have brought."""

    def __init__(self, consumer: KafkaConsumer, longest_ms: int, most_bytes: int) -> None:
        self._consumer = consumer
        self._longest_ms = longest_ms
        self._most_bytes = most_bytes
        self._rate = 0.0
        self._heard = 0
        self._since = time.monotonic()

    def begin(self) -> None:
        """Let the fetches that are sent from now on be answered in time."""
        now = time.monotonic()
        passed = now - self._since
        if passed >= _SECONDS / 20:
            kept = 0.5 ** (passed / _SECONDS)
            self._rate = kept * self._rate + (1 - kept) * self._heard / passed
            self._heard, self._since = 0, now
        wait_ms, least = self.times(self._rate)
        # Of a backlog the broker would fill an answer with one partition after the other, and to hear the calls of one
        # takes half as long again for each chunk as to hear those of eight: the network runs for as many at once.
        each = max(_LARGEST_BATCH, self._most_bytes // max(1, partitions_behind(self._consumer)))
        collect(self._consumer, wait_ms, min(least, each), each)

    def heard(self, records: int) -> None:
        """A poll has brought so many: while they are worked on the broker collects the next ones."""
        self._heard += records
        if records:
            self.begin()
            fetch_ahead(self._consumer)

    def times(self, rate: float) -> tuple[int, int]:
        """At so many chunks a second: for how many ms the broker collects, and which number of bytes ends it."""
        shortest = min(_SHORTEST_MS, self._longest_ms)
        if rate * shortest < 1000:  # less than one in the shortest time: each is answered at once
            return self._longest_ms, 1
        wait = np.interp(rate, (_FEW, _MANY, _FULL), (shortest, self._longest_ms, shortest))
        return round(float(wait)), self._most_bytes

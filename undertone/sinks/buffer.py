"""What has been read and is not written yet."""

import time
from collections.abc import Iterable, Mapping

from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import Rejected
from schemas.events import Update
from undertone.sinks.events import StoredEvent, stored_event
from undertone.sinks.target import Batch, DeadLetters, Limits


class Buffer:
    """Collects a batch until it is due. `updates`: whether they are kept; else they are only passed."""

    def __init__(self, limits: Limits, *, updates: bool) -> None:
        self._limits = limits
        self._updates = updates
        self._passed: dict[int, int] = {}  # the positions that the target knows, or will with the batch that was taken
        self.clear()

    def clear(self) -> None:
        """Begin a new batch."""
        self._events: list[StoredEvent] = []
        self._positions: dict[int, int] = {}
        self._rejected: DeadLetters = []
        self._bytes = 0
        self._since: float | None = None

    def begin(self, partition: int, position: int) -> None:
        """A partition is read from here."""
        self._passed[partition] = position

    def drop(self, partition: int) -> None:
        """A partition has left: whoever has it now reads this again."""
        self._passed.pop(partition, None)
        self._positions.pop(partition, None)
        self._events = [event for event in self._events if event.record.partition != partition]
        self._rejected = [letter for letter in self._rejected if letter[0].partition != partition]

    def add(self, records: Iterable[ConsumerRecord], positions: Mapping[int, int]) -> None:
        """Records that were read, and the positions behind them."""
        for record in records:
            try:
                event = stored_event(record)
            except Rejected as rejected:
                self._rejected.append((record, rejected))
                continue
            if self._updates or not isinstance(event.envelope.data, Update):
                self._events.append(event)
                self._bytes += len(record.value)
        moved = {number: place for number, place in positions.items() if self._passed.get(number, place) != place}
        self._positions |= moved
        if self._since is None and (moved or self._rejected):
            self._since = time.monotonic()

    def reject(self, record: ConsumerRecord, rejected: Rejected) -> None:
        """A record that cannot be read."""
        self._rejected.append((record, rejected))

    @property
    def waits_s(self) -> float | None:
        """How long the batch may still wait for more; 0 where it is due, None where there is nothing to write."""
        if self._since is None:
            return None
        if len(self._events) >= self._limits.records or self._bytes >= self._limits.bytes:
            return 0.0
        return max(0.0, self._since + self._limits.seconds - time.monotonic())

    def written(self, partition: int) -> int | None:
        """The position of a partition up to which all is written, or being written."""
        return self._passed.get(partition)

    def take(self) -> tuple[Batch, DeadLetters]:
        """The batch, and what cannot be in it; a new one begins."""
        batch, rejected = Batch(self._events, self._positions), self._rejected
        self._passed |= self._positions
        self.clear()
        return batch, rejected

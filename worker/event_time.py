"""The time of each partition, by which its idle streams are closed: it runs while the partition is being read.

It passes from one record's timestamp to the next, and, where nothing is left to read, for as long as the broker says
so. An outage, a slow start, a worker's or a producer's wrong clock are no time in which a caller was silent.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import MAX_CHUNK_SECONDS
from undertone.inference.engine import Engine
from undertone.messaging.reading import ends_that_answer

_LOG_APPEND_TIME = 1
# How long the leaders may take to say where their partitions end, one and all of them. The loop waits meanwhile.
_ANSWER_MS, _ANSWERS_S = 250, 1.0
# Two looks that are further apart than this, and than a tenth of the idle time, saw nothing of what was between them.
_SHORTEST_BREAK_S = 5.0


@dataclass
class _Clock:
    now_ms: int  # the partition's time
    # The broker's, as far as it is known: that of the newest record, and what has passed since; or the next record's.
    broker_ms: int | None
    position: int | None = None  # where nothing was left to read when it was last looked at
    looked: float = 0.0  # and when that was


class EventTime:
    """The times of the partitions that are being read."""

    def __init__(self, consumer: KafkaConsumer, engine: Engine, idle_seconds: float) -> None:
        self._consumer = consumer
        self._engine = engine
        # A live call sends a chunk every 10 s at least. With one in the partition no two records lie further apart,
        # unless it could not send.
        self._longest_gap_ms = int(1000 * min(MAX_CHUNK_SECONDS, idle_seconds / 3))
        self._break_s = max(_SHORTEST_BREAK_S, idle_seconds / 10)
        self._clocks: dict[TopicPartition, _Clock | None] = {}  # None until there is a stream or a record

    def follow(self, partitions: Collection[TopicPartition]) -> None:
        """Forget the partitions that are read no more; begin new ones where their streams stand."""
        self._clocks = {
            partition: self._clocks[partition] if partition in self._clocks else self._restored(partition)
            for partition in partitions
        }

    def begin(self, partition: TopicPartition, time_ms: int) -> None:
        """Where a partition's time has not begun, let it be `time_ms` at the next record."""
        if self._clocks.get(partition) is None:
            self._clocks[partition] = _Clock(time_ms, None)

    def now(self, partition: TopicPartition) -> int | None:
        """A partition's time in ms, or None where it has not begun."""
        clock = self._clocks.get(partition)
        return clock.now_ms if clock else None

    def delays(self) -> dict[int, float]:
        """How many seconds the time up to which each partition has been heard lies behind this machine's clock."""
        now = time.time()
        return {
            partition.partition: max(0.0, now - clock.broker_ms / 1000)
            for partition, clock in self._clocks.items()
            if clock and clock.broker_ms is not None
        }

    def read(self, partition: TopicPartition, record: ConsumerRecord) -> int:
        """Time passes up to a record of `partition`; the record's time."""
        stamp, trusted = max(record.timestamp, 0), record.timestamp_type == _LOG_APPEND_TIME
        if not trusted:  # a producer's clock: one that is ahead must not end others' streams
            stamp = min(stamp, int(time.time() * 1000))
        clock = self._clocks.get(partition)
        if clock is None:
            clock = self._clocks[partition] = _Clock(stamp, stamp)
        before_ms = stamp if clock.broker_ms is None else clock.broker_ms
        clock.now_ms += min(max(stamp - before_ms, 0), self._longest_gap_ms)
        # A new leader's clock may lie behind the old one's; producers' clocks differ for good.
        clock.broker_ms = stamp if trusted else max(stamp, before_ms)
        return clock.now_ms

    def pass_quiet_time(self, positions: Mapping[TopicPartition, int]) -> None:
        """Let time pass where nothing has come since this was last called, by the word of each partition's leader.

        What the consumer knows of the end of a partition that it cannot fetch is old.
        """
        clocks = {partition: clock for partition in positions if (clock := self._clocks.get(partition))}
        if not clocks:
            return
        # Those whose leaders have answered last time come first: the others must not use up their time.
        asked = sorted(clocks, key=lambda partition: clocks[partition].position is None)
        ends = ends_that_answer(self._consumer, asked, _ANSWER_MS, _ANSWER_MS, _ANSWERS_S)
        now = time.monotonic()
        for partition, clock in clocks.items():
            position, passed = positions[partition], now - clock.looked
            quiet = ends.get(partition) == position
            if quiet and clock.position == position and passed < self._break_s:
                clock.now_ms += int(passed * 1000)
                if clock.broker_ms is not None:
                    clock.broker_ms += int(passed * 1000)
            clock.position, clock.looked = position if quiet else None, now

    def _restored(self, partition: TopicPartition) -> _Clock | None:
        time_ms = self._engine.event_time(partition.partition)
        return None if time_ms is None else _Clock(time_ms, time_ms)

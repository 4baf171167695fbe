"""Where a partition is read from, where Kafka no longer has what comes next."""

import logging
import time

from kafka import KafkaConsumer, TopicPartition

from undertone.sinks.metrics import SinkMetrics

log = logging.getLogger(__name__)

_ANSWER_MS = 10_000
# After an election a leader may for a moment not know how far the partition goes.
_PATIENCE_S, _PAUSE_S = 60.0, 0.5


class StartOffsets:
    """Decides, says it aloud, and counts what is lost. Outlives the memberships."""

    def __init__(self, metrics: SinkMetrics, *, drops_repeats: bool) -> None:
        self._metrics = metrics
        self._drops_repeats = drops_repeats
        self._beyond: dict[TopicPartition, float] = {}  # since when a position lies behind the end

    def start(self, consumer: KafkaConsumer, partition: TopicPartition, kept: int | None) -> int:
        """The position that was kept, or for a partition that is new to the target the first that Kafka has."""
        if kept is not None:
            return kept
        return int(consumer.beginning_offsets([partition], timeout_ms=_ANSWER_MS)[partition])

    def out_of_range(self, consumer: KafkaConsumer, partition: TopicPartition, offset: int) -> int:
        """Where to go on when Kafka has no record at `offset`."""
        first = int(consumer.beginning_offsets([partition], timeout_ms=_ANSWER_MS)[partition])
        if offset < first:
            self._metrics.lost.labels("retention").inc(first - offset)
            log.error(
                "partition %d: %d records were deleted by retention before they were written; it goes on at offset %d",
                partition.partition,
                first - offset,
                first,
            )
            return first
        since = self._beyond.setdefault(partition, time.monotonic())
        if time.monotonic() - since < _PATIENCE_S:
            time.sleep(_PAUSE_S)
            return offset
        del self._beyond[partition]
        end = int(consumer.end_offsets([partition], timeout_ms=_ANSWER_MS)[partition])
        start = first if self._drops_repeats else min(end, offset)
        self._metrics.lost.labels("truncated").inc(max(0, offset - end))
        log.error(
            "partition %d: Kafka has lost its newest records, from %d to %d, which had been written;"
            " it goes on at offset %d",
            partition.partition,
            end,
            offset - 1,
            start,
        )
        return start

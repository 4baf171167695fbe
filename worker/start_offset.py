"""Where a partition is read from, and what is said where that is not the offset that the group has committed."""

import logging
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition

from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

_ANSWER_MS = 5000


def start_offset(
    partition: TopicPartition, committed: int | None, audio: range, has_history: bool, metrics: WorkerMetrics
) -> int:
    """The offset to read `partition` from: `committed`, or else what comes nearest to it in `audio`, which it holds.

    `has_history`: whether a worker has written state for this partition, so that an offset has been committed once.
    """
    number = partition.partition
    if committed is None:
        if has_history and audio:
            metrics.offset_resets.labels("read_again").inc(len(audio))
            log.error(
                "partition %d: its committed offset is gone; all %d records that Kafka holds are read,"
                " those that had been processed for the second time",
                number,
                len(audio),
            )
        return audio.start
    if committed < audio.start:
        tell_lost(partition, audio.start - committed, "they were read", audio.start, metrics)
        return audio.start
    if committed > audio.stop:
        lost = committed - audio.stop
        metrics.offset_resets.labels("truncated").inc(lost)
        log.error(
            "partition %d: Kafka has lost its newest %d records, which had been processed, and perhaps new ones;"
            " it goes on at its end, offset %d",
            number,
            lost,
            audio.stop,
        )
        return audio.stop
    return committed


def seek_into_range(consumer: KafkaConsumer, offsets: Mapping[TopicPartition, int], metrics: WorkerMetrics) -> None:
    """Go on where Kafka no longer has the next record, `offsets`, of partitions that are being read."""
    for partition, offset in offsets.items():
        first = consumer.beginning_offsets([partition], timeout_ms=_ANSWER_MS)[partition]
        end = consumer.end_offsets([partition], timeout_ms=_ANSWER_MS)[partition]
        consumer.seek(partition, start_offset(partition, offset, range(first, end), True, metrics))


def tell_lost(partition: TopicPartition, records: int, before: str, start: int, metrics: WorkerMetrics) -> None:
    """Count and tell of records that are gone, `before` something was done with them; it goes on at `start`."""
    metrics.offset_resets.labels("lost").inc(records)
    log.error(
        "partition %d: %d records were deleted by retention before %s; it goes on at offset %d,"
        " and calls that are still going on have a gap",
        partition.partition,
        records,
        before,
        start,
    )

"""Reading topics to the end that they have now: the one place that knows where that is."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from schemas.errors import UserError
from undertone.messaging.clients import reader
from undertone.messaging.fetched_records import UnreadableRecordsError
from undertone.messaging.settings import KafkaSettings

# A topic often ends in a transaction's marker, which no poll returns: a poll then waits for nothing.
_POLL_MS = 100


class UnfinishedRead(Exception):
    """The reading was told to stop before it came to the end: what it gave is not all there is."""


def partitions_of(consumer: KafkaConsumer, *topics: str) -> list[TopicPartition]:
    """Every partition of `topics`.

    Raises:
        UserError: there is no such topic.
    """
    partitions = []
    for topic in topics:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise UserError(f"no topic {topic}: run `undertone topics`")
        partitions += [TopicPartition(topic, number) for number in sorted(numbers)]
    return partitions


def end_reader(settings: KafkaSettings) -> KafkaConsumer:
    """A client whose `end_offsets` are those of a reader that wants all that is committed by now.

    They are what a read_uncommitted reader is told. A transaction can be committed before its marker has reached a
    partition: until then its records lie beyond the end that a read_committed reader is told, and would be missed.
    """
    return reader(settings, isolation_level="read_uncommitted")


def end_offsets(settings: KafkaSettings, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    """Where partitions end now, for a reader that wants all that is committed by now: see `end_reader`."""
    with closing(end_reader(settings)) as consumer:
        # Asked for a topic that it does not read it would look it up twice, 100 ms apart.
        consumer.assign(partitions)
        return dict(consumer.end_offsets(list(partitions)))


def answers(consumer: KafkaConsumer, partitions: Iterable[TopicPartition], timeout_ms: int) -> bool:
    """Whether Kafka says where these partitions end: a poll without records waits for one that is away, too."""
    try:
        consumer.end_offsets(list(partitions), timeout_ms=timeout_ms)
    except (KafkaError, KeyError):  # as in `ends_that_answer`
        return False
    return True


def ends_that_answer(
    consumer: KafkaConsumer, partitions: Iterable[TopicPartition], timeout_ms: int, one_timeout_ms: int, all_s: float
) -> dict[TopicPartition, int]:
    """Where those of `partitions` end whose leaders say so: all at once, or else each for itself, for `all_s` seconds.

    They end as `consumer` sees it. Those that come first are asked first.
    """
    wanted = list(partitions)
    try:
        return dict(consumer.end_offsets(wanted, timeout_ms=timeout_ms))
    except (KafkaError, KeyError):  # kafka-python 3.0.12 does not ask for one without a leader, then looks for its end
        ends: dict[TopicPartition, int] = {}
    until = time.monotonic() + all_s
    for partition in wanted:
        if time.monotonic() > until:
            break
        with suppress(KafkaError):
            ends |= consumer.end_offsets([partition], timeout_ms=one_timeout_ms)
    return ends


def peeking_reader(settings: KafkaSettings) -> KafkaConsumer:
    """A client for `timestamps_at`, which also knows the ends that `end_reader` does."""
    return reader(
        settings,
        isolation_level="read_uncommitted",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=64 * 1024,  # a batch of each partition, of which the first record is looked at
        # With kafka-python 3.0.12 a partition that is read again from where it was is at times never answered in a
        # fetch session.
        enable_incremental_fetch_sessions=False,
    )


def timestamps_at(
    consumer: KafkaConsumer, positions: Mapping[TopicPartition, int], all_s: float
) -> dict[TopicPartition, int]:
    """Kafka's timestamps, in ms, of the first records at or behind `positions`, of those that can be read in `all_s`.

    It assigns `consumer`, a `peeking_reader`.
    """
    left, stamps = set(positions), dict[TopicPartition, int]()
    if not left:
        return stamps
    consumer.assign(list(left))
    for partition, position in positions.items():
        consumer.seek(partition, position)
        consumer.resume(partition)
    until = time.monotonic() + all_s
    while left and time.monotonic() < until:
        try:
            polled = consumer.poll(timeout_ms=_POLL_MS)
        except UnreadableRecordsError as error:  # whoever reads them says so; how old they are stays unknown
            polled = {error.partition: ()}
        except KafkaError:
            break
        for partition, records in polled.items():
            if records and partition in left:
                stamps[partition] = records[0].timestamp
            consumer.pause(partition)
            left.discard(partition)
    return stamps


def read_to_end(
    settings: KafkaSettings,
    consumer: KafkaConsumer,
    partitions: Iterable[TopicPartition],
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[ConsumerRecord]:
    """What a `reader` finds in `partitions` from their start to their `end_offsets`; see `read_until`."""
    wanted = list(partitions)
    consumer.assign(wanted)
    consumer.seek_to_beginning()
    yield from read_until(consumer, end_offsets(settings, wanted), stopping)


def read_until(
    consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], stopping: Callable[[], bool] = lambda: False
) -> Iterator[ConsumerRecord]:
    """What lies between an assigned consumer's positions and `ends`, where it is left to read on.

    An undecided transaction in between is waited for: as long as it may last.

    Raises:
        UnfinishedRead: `stopping()` became true before the ends were reached.
    """
    while not _reached(consumer, ends):
        if stopping():
            raise UnfinishedRead
        for partition, records in consumer.poll(timeout_ms=_POLL_MS).items():
            yield from (record for record in records if record.offset < ends[partition])
    for partition, end in ends.items():
        consumer.seek(partition, end)


def _reached(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    return all((consumer.position(partition, timeout_ms=_POLL_MS) or 0) >= end for partition, end in ends.items())

"""Reads topics as they are: committed records only, no group, nothing committed, nothing taken from anybody."""

from collections.abc import Iterator, Sequence
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from schemas.events import EventEnvelope
from schemas.topics import Topic
from undertone.console.rows import Event
from undertone.messaging.clients import admin, reader
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics

# The longest that Ctrl-C waits.
_POLL_MS = 250


def records(
    settings: KafkaSettings, topics: Sequence[Topic], *, from_start: bool, until_end: bool = False
) -> Iterator[list[ConsumerRecord]]:
    """What comes, poll by poll; an empty list when nothing came for a quarter of a second.

    With `until_end` it ends at the ends that the topics had when it began. What was in an undecided transaction at
    that moment is waited for, which takes as long as the transaction may last.

    Raises:
        UserError: no Kafka, or a topic is missing.
    """
    with admin(settings) as client:
        require_topics(client, *topics)
    with closing(reader(settings, auto_offset_reset="earliest")) as consumer:
        wanted = [
            TopicPartition(topic.name, partition)
            for topic in topics
            for partition in sorted(consumer.partitions_for_topic(topic.name) or ())
        ]
        consumer.assign(wanted)
        ends = _ends(settings, wanted)
        if from_start:
            consumer.seek_to_beginning()
        else:
            for partition in wanted:
                consumer.seek(partition, ends[partition])
        while not (until_end and _reached(consumer, ends)):
            polled = consumer.poll(timeout_ms=_POLL_MS)
            yield [
                record
                for partition, found in polled.items()
                for record in found
                if not until_end or record.offset < ends[partition]
            ]


def event_of(record: ConsumerRecord) -> Event | str:
    """The event in a record of `emotion-events`, or a line that says why it is none."""
    try:
        return EventEnvelope.model_validate_json(record.value or b"").data
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return (
            f"no emotion event at {record.topic}, partition {record.partition}, offset {record.offset}:"
            f" {where + ': ' if where else ''}{first['msg']}"
        )


def _ends(settings: KafkaSettings, wanted: list[TopicPartition]) -> dict[TopicPartition, int]:
    # As a read_uncommitted reader sees them: a transaction that is committed, but whose marker has not reached the
    # partition yet, lies behind the end that a read_committed reader is told, and would be missed.
    with closing(reader(settings, isolation_level="read_uncommitted")) as ends:
        return dict(ends.end_offsets(wanted))


def _reached(consumer: KafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    return all((consumer.position(partition) or 0) >= end for partition, end in ends.items())

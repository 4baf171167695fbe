"""Reads topics as they are: committed records only, no group, nothing committed, nothing taken from anybody."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from schemas.events import EventEnvelope
from schemas.topics import Topic
from undertone.console.rows import Event
from undertone.messaging.clients import admin, reader
from undertone.messaging.reading import end_offsets, partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics

# The longest that Ctrl-C waits.
_POLL_MS = 250


def stored(settings: KafkaSettings, topic: Topic) -> Iterator[ConsumerRecord]:
    """Every committed record up to the end that the topic has now.

    What is in an undecided transaction now is waited for, which takes as long as the transaction may last.

    Raises:
        UserError: no Kafka, or no such topic.
    """
    with _opened(settings, [topic]) as (consumer, partitions):
        yield from read_to_end(settings, consumer, partitions)


def follow(settings: KafkaSettings, topics: Sequence[Topic], *, from_start: bool) -> Iterator[list[ConsumerRecord]]:
    """What comes, poll by poll; an empty list when nothing came for a quarter of a second.

    Raises:
        UserError: no Kafka, or a topic is missing.
    """
    with _opened(settings, topics) as (consumer, partitions):
        consumer.assign(partitions)
        if from_start:
            consumer.seek_to_beginning()
        else:
            for partition, end in end_offsets(settings, partitions).items():
                consumer.seek(partition, end)
        while True:
            polled = consumer.poll(timeout_ms=_POLL_MS)
            yield [record for found in polled.values() for record in found]


@contextmanager
def _opened(settings: KafkaSettings, topics: Sequence[Topic]) -> Iterator[tuple[KafkaConsumer, list[TopicPartition]]]:
    with admin(settings) as client:
        require_topics(client, *topics)
    with closing(reader(settings, auto_offset_reset="earliest")) as consumer:
        yield consumer, partitions_of(consumer, *(topic.name for topic in topics))


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

"""Reading to the end on a real broker: the end is what is committed by now, and the caller learns of a stop."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.messaging.clients import idempotent_producer, reader, transactional_producer
from undertone.messaging.reading import UnfinishedRead, partitions_of, peeking_reader, read_to_end, timestamps_at
from undertone.messaging.settings import KafkaSettings


@pytest.fixture
def partition(topics: Topics) -> TopicPartition:
    """An empty one."""
    return TopicPartition(topics.emotion_events.name, 0)


@pytest.fixture
def consumer(kafka_settings: KafkaSettings) -> Iterator[KafkaConsumer]:
    """A reader of committed records."""
    with closing(reader(kafka_settings)) as consumer:
        yield consumer


@pytest.fixture
def writer(kafka_settings: KafkaSettings) -> Iterator[KafkaProducer]:
    """A transactional producer."""
    with closing(transactional_producer(kafka_settings, f"{kafka_settings.topic_prefix}writer")) as producer:
        producer.init_transactions()
        yield producer


def begin(writer: KafkaProducer, partition: TopicPartition, value: bytes) -> None:
    """A record in the log, in a transaction that is not decided."""
    writer.begin_transaction()
    writer.send(partition.topic, value=value, partition=partition.partition)
    writer.flush()


def append(settings: KafkaSettings, partition: TopicPartition, value: bytes) -> None:
    """A record of no transaction."""
    with closing(idempotent_producer(settings)) as producer:
        producer.send(partition.topic, value=value, partition=partition.partition).get(timeout=60)


def test_what_is_decided_behind_the_committed_end_is_read(
    kafka_settings: KafkaSettings, partition: TopicPartition, consumer: KafkaConsumer, writer: KafkaProducer
) -> None:
    """The end that a read_committed reader is told lies before the second record, until the marker is there."""
    append(kafka_settings, partition, b"first")
    begin(writer, partition, b"second")
    found = read_to_end(kafka_settings, consumer, [partition])
    assert next(found).value == b"first"
    writer.commit_transaction()
    assert [record.value for record in found] == [b"second"]


def test_what_is_aborted_is_left_out(
    kafka_settings: KafkaSettings, partition: TopicPartition, consumer: KafkaConsumer, writer: KafkaProducer
) -> None:
    append(kafka_settings, partition, b"first")
    begin(writer, partition, b"never was")
    found = read_to_end(kafka_settings, consumer, [partition])
    assert next(found).value == b"first"
    writer.abort_transaction()
    assert not list(found)


def test_the_end_is_that_of_the_beginning_and_the_consumer_stands_there(
    kafka_settings: KafkaSettings, partition: TopicPartition, consumer: KafkaConsumer
) -> None:
    append(kafka_settings, partition, b"first")
    append(kafka_settings, partition, b"second")
    found = read_to_end(kafka_settings, consumer, [partition])
    assert next(found).value == b"first"
    append(kafka_settings, partition, b"later")
    assert [record.value for record in found] == [b"second"]
    assert consumer.position(partition) == 2


def test_a_stop_before_the_end_is_no_end(
    kafka_settings: KafkaSettings, partition: TopicPartition, consumer: KafkaConsumer, writer: KafkaProducer
) -> None:
    append(kafka_settings, partition, b"first")
    begin(writer, partition, b"undecided")
    seen: list[bytes] = []
    with pytest.raises(UnfinishedRead):
        found = read_to_end(kafka_settings, consumer, [partition], stopping=lambda: bool(seen))
        seen.extend(record.value for record in found)
    assert seen == [b"first"]
    writer.abort_transaction()


def test_a_topic_that_is_not_there_is_one_line(kafka_settings: KafkaSettings, consumer: KafkaConsumer) -> None:
    with pytest.raises(UserError, match=r"no topic .*emotion-events: run `undertone topics`"):
        partitions_of(consumer, Topics(kafka_settings.topic_prefix).emotion_events.name)


def test_the_age_of_what_waits_is_that_of_the_first_record_not_read(
    kafka_settings: KafkaSettings, topics: Topics, writer: KafkaProducer
) -> None:
    first, second, empty = (TopicPartition(topics.call_audio.name, number) for number in range(3))
    for partition in (first, first, second):
        append(kafka_settings, partition, b"chunk")
    with closing(reader(kafka_settings, auto_offset_reset="earliest")) as consumer:
        stamps = {
            (partition, record.offset): record.timestamp
            for partition in (first, second)
            for record in read_to_end(kafka_settings, consumer, [partition])
        }
    undecided = TopicPartition(topics.call_audio.name, 3)
    begin(writer, undecided, b"held back")
    with closing(peeking_reader(kafka_settings)) as consumer:
        at = timestamps_at(consumer, {first: 1, second: 0, undecided: 0, empty: 0}, 5)
        assert at.keys() == {first, second, undecided}, "what a transaction holds back waits, too"
        assert (at[first], at[second]) == (stamps[first, 1], stamps[second, 0])
        for position in (0, 1, 1, 0):  # the same once more, and further back: nothing of a look is left to the next
            at = timestamps_at(consumer, {first: position, second: 0}, 60)
            assert at == {first: stamps[first, position], second: stamps[second, 0]}
        assert timestamps_at(consumer, {}, 30) == {}

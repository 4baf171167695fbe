"""Records that are sent together arrive as those that are sent one by one do."""

import os
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.topics import Topics
from undertone.messaging.clients import reader, transactional_producer
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.sending import Outgoing, send_together
from undertone.messaging.settings import KafkaSettings

# Of a stream's events some are large; three of these fill a batch, and the last one alone is more than it holds.
BATCH = 16 * 1024
RECORDS = [
    Outgoing(
        b"call-%d/customer" % (number % 13), b"%d " % number * (1000 if number % 7 == 0 else 1), [("n", b"%d" % n)]
    )
    for n, number in enumerate(range(200))
]
RECORDS.append(Outgoing(b"call-1/customer", bytes(3 * BATCH)))


def heard(settings: KafkaSettings, topic: str) -> dict[int, list[tuple[Any, ...]]]:
    """What lies in each partition of a topic."""
    found: dict[int, list[tuple[Any, ...]]] = {}
    with closing(reader(settings)) as consumer:
        for record in read_to_end(settings, consumer, partitions_of(consumer, topic)):
            found.setdefault(record.partition, []).append((record.key, record.value, record.headers))
    return found


def transacting(settings: KafkaSettings) -> KafkaProducer:
    producer = transactional_producer(settings, "together", linger_ms=60_000, batch_size=BATCH)
    producer.init_transactions()
    return producer


def test_records_that_are_sent_together_are_those_that_are_sent_one_by_one(
    kafka_settings: KafkaSettings, topics: Topics
) -> None:
    with closing(transacting(kafka_settings)) as producer:
        producer.begin_transaction()
        for record in RECORDS:
            producer.send(topics.call_audio.name, key=record.key, value=record.value, headers=list(record.headers))
        send_together(producer, topics.emotion_events.name, RECORDS)
        producer.commit_transaction()
    events = heard(kafka_settings, topics.emotion_events.name)
    assert sum(map(len, events.values())) == len(RECORDS)
    assert events == heard(kafka_settings, topics.call_audio.name)


def test_records_go_to_the_partition_that_they_name(kafka_settings: KafkaSettings, topics: Topics) -> None:
    states = [Outgoing(b"call-%d/customer" % number, None, partition=number % 2) for number in range(20)]
    with closing(transacting(kafka_settings)) as producer:
        producer.begin_transaction()
        send_together(producer, topics.worker_state.name, states)
        producer.commit_transaction()
    found = heard(kafka_settings, topics.worker_state.name)
    assert {number: len(keys) for number, keys in found.items()} == {0: 10, 1: 10}


def test_they_are_of_the_transaction(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(transacting(kafka_settings)) as producer:
        for end in (producer.abort_transaction, producer.commit_transaction):
            producer.begin_transaction()
            send_together(producer, topics.emotion_events.name, RECORDS)
            end()
        with pytest.raises(KafkaError):
            send_together(producer, topics.emotion_events.name, RECORDS)
    assert sum(map(len, heard(kafka_settings, topics.emotion_events.name).values())) == len(RECORDS)


def test_the_transaction_says_what_was_not_taken(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(transacting(kafka_settings)) as producer:
        producer.begin_transaction()
        # More than the topic takes of one record; the client lets it through.
        send_together(
            producer, topics.emotion_events.name, [RECORDS[0], Outgoing(b"call/customer", os.urandom(9 << 20))]
        )
        producer.flush(60)
        with pytest.raises(KafkaError):
            producer.commit_transaction()
    assert not heard(kafka_settings, topics.emotion_events.name)

"""When fetches are sent and when they are answered."""

import os
import time
from contextlib import closing

from kafka import TopicPartition

from schemas.topics import Topics
from undertone.messaging.clients import idempotent_producer, reader
from undertone.messaging.fetching import collect, fetch_ahead, partitions_behind
from undertone.messaging.settings import KafkaSettings

MEGABYTE = 1024 * 1024
# With this a consumer would have nothing for two minutes.
PATIENT = {"fetch_min_bytes": MEGABYTE, "fetch_max_wait_ms": 120_000, "request_timeout_ms": 180_000}


def test_how_long_the_broker_collects_can_be_changed(kafka_settings: KafkaSettings, topics: Topics) -> None:
    place = TopicPartition(topics.call_audio.name, 0)
    with closing(idempotent_producer(kafka_settings)) as producer:
        producer.send(place.topic, b"one", partition=0).get(timeout=60)
    with closing(reader(kafka_settings, **PATIENT)) as consumer:
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        collect(consumer, 120_000, 1, MEGABYTE)
        assert [record.value for record in consumer.poll(timeout_ms=60_000).get(place, [])] == [b"one"]


def test_of_a_backlog_each_partition_gives_its_share(kafka_settings: KafkaSettings, topics: Topics) -> None:
    places = [TopicPartition(topics.call_audio.name, number) for number in range(4)]
    records = 4 * [os.urandom(MEGABYTE // 8) for _ in range(8)]
    with closing(idempotent_producer(kafka_settings)) as producer:
        for number, record in enumerate(records):
            producer.send(places[0].topic, record, partition=number % 4)
        producer.flush()
    with closing(reader(kafka_settings, **PATIENT, fetch_max_bytes=MEGABYTE)) as consumer:
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        assert partitions_behind(consumer) == 4  # as long as nobody has said otherwise
        heard = 0
        while heard < len(records):
            behind = partitions_behind(consumer)
            collect(consumer, 120_000, MEGABYTE // (2 * behind), MEGABYTE // behind)
            polled = consumer.poll(timeout_ms=60_000)
            assert len(polled) == behind
            heard += sum(map(len, polled.values()))
        assert partitions_behind(consumer) == 0


def test_what_comes_behind_a_poll_is_there_when_it_is_polled_again(
    kafka_settings: KafkaSettings, topics: Topics
) -> None:
    place = TopicPartition(topics.call_audio.name, 0)
    with (
        closing(idempotent_producer(kafka_settings)) as producer,
        closing(reader(kafka_settings)) as consumer,
    ):
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        consumer.poll(timeout_ms=0)  # a fetch is under way, so the next poll waits for what it brings
        producer.send(place.topic, b"one", partition=0).get(timeout=60)
        while not consumer.poll(timeout_ms=60_000):
            pass
        fetch_ahead(consumer)
        fetch_ahead(consumer)  # once more does no harm
        producer.send(place.topic, b"two", partition=0).get(timeout=60)
        end = time.monotonic() + 60
        # No poll sends a fetch here, and yet:
        while not (found := consumer._fetcher.fetched_records()[0]):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert [record.value for record in found[place]] == [b"two"]

"""What Kafka's client takes by itself for a chunk: it is read, its event is written, a transaction is ended."""

import time
from collections.abc import Callable
from contextlib import closing

from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from benchmarks.stand import installation, publish
from schemas.topics import Topics
from undertone.messaging.clients import group_consumer, reader, transactional_producer
from undertone.messaging.reading import partitions_of, read_to_end

_RECORDS = 4000
_EVENT = b"x" * 900
_TRANSACTIONS = 40


def floor_us(bootstrap_servers: str, chunks_per_transaction: float) -> float:
    """Microseconds of processor time a chunk, of this process and of the client's threads in it."""
    kafka = installation(bootstrap_servers)
    topics = Topics(kafka.topic_prefix)
    publish(kafka, _RECORDS // 10, seconds=5)

    def read() -> None:
        with closing(reader(kafka)) as consumer:
            for _ in read_to_end(kafka, consumer, partitions_of(consumer, topics.call_audio.name)):
                pass

    with (
        closing(transactional_producer(kafka, f"{kafka.topic_prefix}floor", linger_ms=60_000)) as producer,
        closing(group_consumer(kafka, f"{kafka.topic_prefix}floor")) as consumer,
    ):
        producer.init_transactions()
        offsets = {TopicPartition(topics.call_audio.name, 0): OffsetAndMetadata(0, "", -1)}
        consumer.subscribe([topics.call_audio.name])
        while not consumer.assignment():
            consumer.poll(timeout_ms=100, max_records=1)

        def transactions(records: int) -> None:
            for _ in range(_TRANSACTIONS):
                producer.begin_transaction()
                for number in range(records):
                    producer.send(topics.emotion_events.name, key=b"call-%d" % number, value=_EVENT)
                producer.flush()
                producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
                producer.commit_transaction()

        records = max(1, round(chunks_per_transaction))
        written = _seconds(lambda: transactions(records)) / _TRANSACTIONS / records
    return round(1e6 * (_seconds(read) / _RECORDS + written), 1)


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began

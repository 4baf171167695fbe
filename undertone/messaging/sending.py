"""Many records at once for a topic: what a record costs beside its bytes is paid once for each partition.

Of the 18 us that `KafkaProducer.send` takes for an event, 2 are for writing it into its batch; the others choose its
partition, look at its types, note its partition in the transaction, take locks, and make a future, which costs as much
again once the batch is there. A transaction of a hundred events needs none of that a hundred times, and nobody asks for
the futures: whether all of it is there, its commit says. Written for kafka-python 3.0.12.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition

from undertone.messaging.partitioner import partition_of


class Outgoing(NamedTuple):
    """A record to send; without a partition its key chooses one."""

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


def send_together(producer: KafkaProducer, topic: str, records: Iterable[Outgoing]) -> None:
    """Hand records to a producer, those of each partition in their order.

    What becomes of them is told where the producer is flushed and its transaction committed, and nowhere else.

    Raises:
        KafkaError: as `KafkaProducer.send` does.
    """
    by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
    partitions = len(producer.partitions_for(topic))
    for record in records:
        number = partition_of(record.key, partitions) if record.partition is None else record.partition
        by_partition[number].append(record)
    for number, group in by_partition.items():
        _send_to(producer, TopicPartition(topic, number), group)


def _send_to(producer: KafkaProducer, place: TopicPartition, records: Sequence[Outgoing]) -> None:
    """The client sends the first: it checks the transaction, opens a batch and wakes who sends it. The others join it.

    Where one does not fit, or the batch has been sent meanwhile, that one is the next first.
    """
    accumulator, sent = producer._accumulator, 0
    while sent < len(records):
        key, value, headers, _ = records[sent]
        producer.send(place.topic, value, key, list(headers), place.partition)
        sent += 1
        with accumulator._tp_lock(place):
            batches = accumulator._batches[place]
            while batches and sent < len(records):
                key, value, headers, _ = records[sent]
                if batches[-1].records.append(None, key, value, headers) is None:
                    break
                sent += 1

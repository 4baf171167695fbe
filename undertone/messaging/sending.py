"""Many records at once for a topic, in a transaction: what a record costs beside its bytes is paid once a partition.

Of the 18 us that `KafkaProducer.send` takes for an event, 2 are for writing it into its batch; the others choose its
partition, look at its types, note its partition in the transaction, take locks, and make a future, which costs as much
again once the batch is there. A transaction of a hundred events needs none of that a hundred times, and nobody asks for
the futures: whether all of it is there, its commit says. Written for kafka-python 3.0.12.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.producer.record_accumulator import RecordAccumulator

from undertone.messaging.partitioner import partition_of


class Outgoing(NamedTuple):
    """A record to send; without a partition its key chooses one."""

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


def send_together(producer: KafkaProducer, topic: str, records: Iterable[Outgoing]) -> None:
    """Hand records to a transactional producer, those of each partition in their order.

    They go out when it is flushed; what becomes of them is told where its transaction is committed, and nowhere else.

    Raises:
        KafkaError: no transaction is open, or it has failed.
    """
    by_partition: defaultdict[int, list[Outgoing]] = defaultdict(list)
    partitions = len(producer.partitions_for(topic))
    for record in records:
        number = partition_of(record.key, partitions) if record.partition is None else record.partition
        by_partition[number].append(record)
    for number, group in by_partition.items():
        place = TopicPartition(topic, number)
        producer._transaction_manager.maybe_add_partition_to_transaction(place)
        _append(producer._accumulator, place, group)


def _append(accumulator: RecordAccumulator, place: TopicPartition, records: Sequence[Outgoing]) -> None:
    """The client opens a batch with the first; the others join it. One that does not fit is the first of the next.

    Unlike `send` this does not wake the sender: for each new batch it would compete with us for the interpreter, and
    add the partitions to the transaction one by one.
    """
    written = 0
    while written < len(records):
        key, value, headers, _ = records[written]
        accumulator.append(place, None, key, value, headers)
        written += 1
        with accumulator._tp_lock(place):
            batches = accumulator._batches[place]
            while batches and written < len(records):
                key, value, headers, _ = records[written]
                if batches[-1].records.append(None, key, value, headers) is None:
                    break
                written += 1

"""Reading a topic from its start to where it ends now."""

from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.errors import UserError

_POLL_MS = 500


def read_to_end(reader: KafkaConsumer, topic: str) -> Iterator[ConsumerRecord]:
    """Every record that `topic` has now, by partition and offset within each poll.

    Raises:
        UserError: there is no such topic.
    """
    numbers = reader.partitions_for_topic(topic)
    if not numbers:
        raise UserError(f"no topic {topic}: run `undertone topics`")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    reader.assign(partitions)
    reader.seek_to_beginning()
    ends = reader.end_offsets(partitions)
    while any((reader.position(partition) or 0) < end for partition, end in ends.items()):
        for records in reader.poll(timeout_ms=_POLL_MS).values():
            yield from records

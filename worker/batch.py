"""What a poll has brought: chunks for the engine, and messages that are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk, RecordPlace
from schemas.dead_letters import Rejected
from worker.event_time import EventTime
from worker.poison_pill import PoisonPills

Polled = Mapping[TopicPartition, Sequence[ConsumerRecord]]


DeadLetters = list[tuple[ConsumerRecord, Rejected]]


@dataclass
class Batch:
    """Chunks in the order of their partitions, and the records they came from."""

    chunks: list[AudioChunk] = field(default_factory=list)
    rejected: DeadLetters = field(default_factory=list)
    records: dict[tuple[int, int], ConsumerRecord] = field(default_factory=dict)  # by partition and offset

    def reject(self, chunk: AudioChunk, rejected: Rejected) -> None:
        """A chunk that the engine cannot use."""
        if chunk.place:
            self.rejected.append((self.records[chunk.place.partition, chunk.place.offset], rejected))


def decode(polled: Polled, poison_pills: PoisonPills, event_time: EventTime) -> Batch:
    """Read and check every record; what is wrong with one concerns that one only."""
    batch = Batch()
    for partition, records in polled.items():
        for record in records:
            batch.records[partition.partition, record.offset] = record
            place = RecordPlace(
                topic=partition.topic,
                partition=partition.partition,
                offset=record.offset,
                timestamp_ms=event_time.read(partition, record),
            )
            try:
                poison_pills.check(place)
                batch.chunks.append(AudioChunk.from_record(record.key, record.value, record.headers, place))
            except Rejected as rejected:
                batch.rejected.append((record, rejected))
    return batch

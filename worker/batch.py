"""What a poll has brought: chunks for the engine, and messages that are none."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk, RecordPlace
from schemas.dead_letters import Reason, Rejected
from undertone.messaging.workarounds import UnreadableRecordsError
from worker.event_time import EventTime
from worker.poison_pill import PoisonPills

log = logging.getLogger(__name__)

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


def unreadable(error: UnreadableRecordsError) -> tuple[ConsumerRecord, Rejected]:
    """The dead letter for damaged records: where they lie, for there is nothing of them that could be kept."""
    place = error.partition
    record = ConsumerRecord(
        **dict.fromkeys(ConsumerRecord._fields)
        | {"topic": place.topic, "partition": place.partition, "offset": error.offset, "headers": []}
    )
    detail = f"offsets {error.offset} to {error.next_offset - 1} are damaged: {error.cause}"
    log.error("%s, partition %d: %s; they are skipped", place.topic, place.partition, detail)
    return record, Rejected(Reason.CORRUPT_RECORD, detail)

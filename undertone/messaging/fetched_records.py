"""Records as a fetch has brought them: read in little time, and located where they are damaged.

`workarounds.mend()` has every consumer use it. Written for kafka-python 3.0.12.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

# The batch format with headers and transactions; all that a broker has written since 2017.
_MAGIC = 2
# A number of Kafka's, of one byte and not negative, has neither of these bits: it is the byte without its last one.
_LONGER_OR_NEGATIVE = 0x81
# Names that are remembered. Those of more than 63 bytes are not, so that this is no memory for others to fill.
_NAMES = 1000


class UnreadableRecordsError(CorruptRecordError):
    """Records that are damaged where they lie. Whoever polls goes on by seeking `next_offset` in `partition`."""

    def __init__(self, partition: TopicPartition, offset: int, next_offset: int, cause: Exception) -> None:
        super().__init__(f"{partition.topic}, partition {partition.partition}, from offset {offset}: {cause}")
        self.partition = partition
        self.offset = offset
        self.next_offset = next_offset
        self.cause = cause


class FetchedRecords(Fetcher.PartitionRecords):
    """Reads the batches of one partition's answer.

    Three things are other than in the client, whose own loop this is in short, without deserializers, which no consumer
    of ours has:

    Quick. A chunk has eleven headers. The client calls a function for each number and each text of them, makes an
    object, asks it for its parts through properties, and counts bytes for metrics: 13 us a chunk, 6 like this.

    Lenient. A header's name that is no UTF-8, which any client may write and the broker takes, gets replacement
    characters, and the record goes the way of all others. Symptom: `poll` raises CorruptRecordError and, polled again,
    spins for ever; restarted, it meets the same record. One such record would end every worker of its partition.

    And it says where records are that cannot be read. Symptom: for a batch with a wrong checksum `poll` raises
    CorruptRecordError, which tells neither its partition nor where the next batch begins; polled again it spins for
    ever, and a new client meets the same batch. One damaged block of a disk would stop its partition's worker for good.
    """

    def _unpack_records(self, tp: TopicPartition, records: Any, *_deserializers: None) -> Iterator[ConsumerRecord]:
        last = None
        try:
            while (batch := records.next_batch()) is not None:
                last = batch
                if self.check_crcs and not batch.validate_crc():
                    raise CorruptRecordError(f"the batch at offset {batch.base_offset} failed its crc check")
                if batch.magic < _MAGIC:
                    raise CorruptRecordError(f"the batch at offset {batch.base_offset} is of the format of before 2017")
                self.leader_epoch = batch.leader_epoch
                if not self._passed_over(batch):
                    for record in _records_of(batch, tp):
                        self.next_fetch_offset = record.offset + 1
                        yield record
                    self.bytes_read += batch.size_in_bytes  # by it the next fetch begins with another partition
                # Behind records that compaction has taken from the batch's end, too.
                self.next_fetch_offset = batch.next_offset
            self.drain()
        except UnsupportedCodecError:
            raise  # nothing is damaged: a codec is missing, for every batch
        except Exception as error:
            offset, after = self._damaged(last)
            raise UnreadableRecordsError(tp, offset, after, error) from error

    def _passed_over(self, batch: DefaultRecordBatch) -> bool:
        """Whether a batch is a transaction's marker, or of a transaction that was aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            if self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)

    def _damaged(self, batch: Any) -> tuple[int, int]:
        """The first offset that cannot be read, in `batch` or behind it, and the one to go on with."""
        if batch is None:
            return self.next_fetch_offset, self.next_fetch_offset + 1
        offset = max(self.next_fetch_offset, batch.base_offset)
        if getattr(batch, "magic", 0) < _MAGIC:
            return offset, offset + 1
        # What its header says may be damaged, too: one step too short finds the same batch again, one too long would
        # lose others, so the smaller of the two numbers that tell it counts.
        length = min(batch.last_offset_delta + 1, batch.records_count)
        return offset, max(offset + 1, int(batch.base_offset) + length)


def _records_of(batch: DefaultRecordBatch, place: TopicPartition) -> Iterator[ConsumerRecord]:
    """The records of a batch. The sizes and the checksum that a ConsumerRecord has room for are not told.

    Raises:
        CorruptRecordError: they are not as the batch's header says.
    """
    batch._maybe_uncompress()
    buffer, at = bytes(batch._buffer), batch._pos
    first_offset, first_timestamp = batch.base_offset, batch.first_timestamp
    appended = batch.max_timestamp if batch.timestamp_type == DefaultRecordBatch.LOG_APPEND_TIME else None
    about = batch.timestamp_type
    topic, partition, epoch = place.topic, place.partition, batch.leader_epoch
    try:
        for _ in range(batch.records_count):
            length, begin = decode_varint(buffer, at)
            # Its first byte is for attributes, of which there are none.
            delta, at = decode_varint(buffer, begin + 1)
            timestamp = first_timestamp + delta if appended is None else appended
            delta, at = decode_varint(buffer, at)
            key, at = _bytes(buffer, at)
            value, at = _bytes(buffer, at)
            headers, at = _headers(buffer, at)
            if at - begin != length:
                raise CorruptRecordError(f"a record of {length} bytes has {at - begin}")
            # What `ConsumerRecord(...)` comes to, in a third of its time.
            yield tuple.__new__(
                ConsumerRecord,
                (topic, partition, epoch, first_offset + delta, timestamp, about, key, value, headers, *_UNTOLD),
            )
    except (IndexError, ValueError) as error:
        raise CorruptRecordError(f"a record's structure is damaged: {error!r}") from error
    if at != len(buffer):
        raise CorruptRecordError(f"{len(buffer) - at} bytes behind the last record")


_UNTOLD = (None, -1, -1, -1)  # checksum; sizes of key, value and headers


def _bytes(buffer: bytes, at: int) -> tuple[bytes | None, int]:
    """Bytes with their length in front, and where they end; None where the length is negative."""
    size, at = decode_varint(buffer, at)
    if size < 0:
        return None, at
    return buffer[at : at + size], at + size


def _headers(buffer: bytes, at: int) -> tuple[list[tuple[str, bytes | None]], int]:
    """A record's headers, and where they end.

    Of 22 lengths nearly all are of one byte: to read those here, without a call, is half of what all this saves.
    """
    count, at = decode_varint(buffer, at)
    if count < 0:
        raise CorruptRecordError(f"{count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        size = buffer[at]
        if size & _LONGER_OR_NEGATIVE:
            size, at = decode_varint(buffer, at)
            if size < 0:
                raise CorruptRecordError("a header without a name")
            name = buffer[at : at + size].decode(errors="replace")
        else:
            size >>= 1
            at += 1
            name = _name(buffer[at : at + size])
        at += size
        size = buffer[at]
        if size & _LONGER_OR_NEGATIVE:
            value, at = _bytes(buffer, at)
        else:
            size >>= 1
            at += 1
            value = buffer[at : at + size]
            at += size
        headers.append((name, value))
    return headers, at


@lru_cache(_NAMES)
def _name(written: bytes) -> str:
    return written.decode(errors="replace")


class LocatingFetcher(Fetcher):
    """Also says where records are that the broker cannot read.

    Symptom: `poll` raises CorruptRecordError for a batch whose length is damaged, and so does that of a new client.

    Cause: the broker reads the headers of some batches itself, to find an offset. It answers CORRUPT_MESSAGE to whoever
    asks for an offset of the damaged one, or for one behind it and before the next place in its index (4 KB on, by
    default). Where that is it does not say, so the next offset is tried: good ones are given up for no more than that.
    """

    PartitionRecords = FetchedRecords

    def _parse_fetched_data(self, completed_fetch: Any) -> Any:
        try:
            return super()._parse_fetched_data(completed_fetch)
        except CorruptRecordError as error:
            offset = completed_fetch.fetched_offset
            raise UnreadableRecordsError(completed_fetch.topic_partition, offset, offset + 1, error) from error

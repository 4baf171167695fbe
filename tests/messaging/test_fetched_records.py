"""How records are read: as kafka-python reads them, and those too that it stumbles over.

A test named `test_kafka_python_still_...` that fails says that kafka-python has changed: its workaround can go.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder

from undertone.messaging.fetched_records import FetchedRecords, UnreadableRecordsError

PLACE = TopicPartition("call-audio", 3)
NONE, LZ4 = 0, 3
# Of lengths that Kafka writes in one byte, in two and in three.
LONG = st.binary(max_size=40) | st.integers(50, 9000).map(bytes)
NAMES = st.text(max_size=20) | st.integers(60, 200).map(lambda length: "n" * length)
HEADERS = st.lists(st.tuples(NAMES, st.none() | LONG), max_size=12)
RECORDS = st.lists(
    st.tuples(st.integers(0, 10**6), st.none() | LONG, st.none() | LONG, HEADERS), min_size=1, max_size=6
)


class ForeignName(str):
    """A header's name that is no UTF-8, as clients in other languages may write it."""

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def with_a_foreign_name() -> bytes:
    """A batch of two records; the second has such a header."""
    return written([(0, b"a", b"1", [("name", b"0")]), (0, b"b", b"2", [(ForeignName("x"), b"3")])])


def written(
    records: list[tuple[int, bytes | None, bytes | None, list[Any]]],
    first_offset: int = 0,
    codec: int = NONE,
    producer: int = -1,
) -> bytes:
    """A batch of (timestamp, key, value, headers), as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, codec, producer >= 0, producer, 0, 0, 10**6)
    for number, (timestamp, key, value, headers) in enumerate(records):
        builder.append(number, timestamp, key, value, headers)
    return first_offset.to_bytes(8) + bytes(builder.build())[8:]


def told(read: type[Fetcher.PartitionRecords], batches: bytes, **options: Any) -> list[tuple[object, ...]]:
    """The records that a reader takes from `batches`, without what ours does not tell."""
    records = list(read(0, PLACE, MemoryRecords(batches), **options).record_iterator)
    assert all(isinstance(record, ConsumerRecord) for record in records)
    return [record[: ConsumerRecord._fields.index("checksum")] for record in records]


@given(RECORDS, RECORDS, st.sampled_from([NONE, LZ4]))
def test_records_are_read_as_kafka_python_reads_them(first: Any, second: Any, codec: int) -> None:
    batches = written(first, 5, codec) + written(second, 5 + len(first), codec)
    assert told(FetchedRecords, batches) == told(Fetcher.PartitionRecords, batches)


def test_the_position_follows_the_records_and_passes_what_compaction_took() -> None:
    batch = bytearray(written([(0, b"a", b"1", []), (0, b"b", b"2", [])], 5))
    compacted = DefaultRecordBatch(batch)
    batch[23:27] = (6).to_bytes(4)  # the last offset's delta: four more records were there
    reading = FetchedRecords(5, PLACE, MemoryRecords(bytes(batch)), check_crcs=False)
    seen = [(len(reading.take(1)), reading.next_fetch_offset) for _ in range(3)]
    assert (seen, compacted.records_count) == ([(1, 6), (1, 7), (0, 12)], 2)


class Aborted:
    """What a broker says of a transaction that was given up."""

    def __init__(self, producer_id: int, first_offset: int) -> None:
        self.producer_id, self.first_offset = producer_id, first_offset


def marker(offset: int, producer: int, *, commit: bool) -> bytes:
    """The batch that ends a transaction."""
    key = (0).to_bytes(2) + int(commit).to_bytes(2)
    batch = bytearray(written([(0, key, bytes(6), [])], offset, producer=producer))
    batch[21:23] = (0x30).to_bytes(2)  # of a transaction, and for control
    return bytes(batch)


def test_what_was_aborted_is_not_read_and_markers_never_are() -> None:
    batches = b"".join(
        [
            written([(0, b"a", b"given up", [])], 0, producer=7),
            written([(0, b"b", b"another's", [])], 1, producer=8),
            marker(2, 7, commit=False),
            written([(0, b"c", b"kept", [])], 3, producer=7),
            marker(4, 7, commit=True),
        ]
    )
    options: dict[str, Any] = {
        "isolation_level": IsolationLevel.READ_COMMITTED,
        "aborted_transactions": [Aborted(7, 0)],
        "check_crcs": False,
    }
    read = told(FetchedRecords, batches, **options)
    assert [record[ConsumerRecord._fields.index("value")] for record in read] == [b"another's", b"kept"]
    assert read == told(Fetcher.PartitionRecords, batches, **options)
    reading = FetchedRecords(0, PLACE, MemoryRecords(batches), **options)
    reading.take(10)
    assert reading.next_fetch_offset == 5


def test_a_foreign_header_name_is_read() -> None:
    (first, second) = FetchedRecords(0, PLACE, MemoryRecords(with_a_foreign_name())).take()
    assert (first.key, first.value, first.headers) == (b"a", b"1", [("name", b"0")])
    assert (second.key, second.value, second.headers) == (b"b", b"2", [("\ufffd\ufffd", b"3")])


def test_kafka_python_still_raises_for_a_foreign_header_name() -> None:
    with pytest.raises(CorruptRecordError):
        list(DefaultRecordBatch(with_a_foreign_name()))


def damaged_batch() -> bytes:
    """A batch of two records with one bit that has changed."""
    batch = bytearray(with_a_foreign_name())
    batch[-1] ^= 1
    return bytes(batch)


def test_a_damaged_batch_is_located_and_none_other_is_passed_over() -> None:
    batches = [damaged_batch(), with_a_foreign_name()]
    with pytest.raises(UnreadableRecordsError, match=r"call-audio, partition 3, from offset 0: .*crc") as caught:
        list(FetchedRecords(0, PLACE, MemoryRecords(b"".join(batches))).record_iterator)
    assert (caught.value.partition, caught.value.offset, caught.value.next_offset) == (PLACE, 0, 2)
    lying = bytearray(damaged_batch())
    lying[23:27] = (1_000_000).to_bytes(4, "big")  # the last offset's delta
    with pytest.raises(UnreadableRecordsError) as caught:
        list(FetchedRecords(0, PLACE, MemoryRecords(bytes(lying))).record_iterator)
    assert caught.value.next_offset == 2
    lying[8:12] = (3).to_bytes(4)  # the length: where the next batch begins nobody knows
    with pytest.raises(UnreadableRecordsError) as caught:
        list(FetchedRecords(7, PLACE, MemoryRecords(bytes(lying))).record_iterator)
    assert (caught.value.offset, caught.value.next_offset) == (7, 8)


def test_records_before_a_damaged_one_are_read() -> None:
    batch = bytearray(written([(0, b"a", b"1", []), (0, b"b", b"2", [])], 5))
    batch[-1] = 1  # -1 headers
    reading = FetchedRecords(5, PLACE, MemoryRecords(bytes(batch)), check_crcs=False)
    assert [record.value for record in reading.take()] == [b"1"]
    with pytest.raises(UnreadableRecordsError, match="-1 headers") as caught:
        reading.take()
    assert (caught.value.offset, caught.value.next_offset) == (6, 7)


def test_a_batch_of_the_old_format_is_refused() -> None:
    builder = LegacyRecordBatchBuilder(1, NONE, 1000)
    builder.append(0, 0, b"key", b"value")
    with pytest.raises(UnreadableRecordsError, match="before 2017") as caught:
        FetchedRecords(0, PLACE, MemoryRecords(bytes(builder.build()))).take()
    assert caught.value.next_offset == 1


def test_kafka_python_still_does_not_tell_where_a_damaged_batch_lies() -> None:
    with pytest.raises(CorruptRecordError) as caught:
        list(Fetcher.PartitionRecords(0, PLACE, MemoryRecords(damaged_batch())).record_iterator)
    assert not hasattr(caught.value, "next_offset")

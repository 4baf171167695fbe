"""The stream table: one row of arrays per open stream, and a row's bytes as the changelog record.

Gathering a batch of streams is fancy indexing, so 20,000 rows cost what 1,000 do.
"""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import RATES, block_samples, fft_samples, hop_samples
from undertone.acoustics.gate import GateState

MAX_CONTEXT_FRAMES = 8
NO_OFFSET = -1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Little-endian, because the bytes of a row are what the changelog keeps.
ROW = np.dtype(
    [
        ("start_us", "<i8"),  # the moment of sample 0, microseconds since 1970 UTC
        ("rate", "<i4"),
        ("held", "<i4"),  # samples carried beyond the last whole block
        ("clock", "<i8"),  # first sample of the next block
        ("first_sample", "<i8"),
        ("last_sample", "<i8"),  # the stream's end once it is known
        ("sequence", "<i8"),  # the next one expected
        ("gap_from", "<i8"),  # sequence numbers missed last: [gap_from, gap_to)
        ("gap_to", "<i8"),
        ("floor", "<i4"),
        ("since_speech", "<i4"),
        ("open", "?"),  # a segment is open; the fields up to `voiced` are its own
        ("segment_start", "<i8"),
        ("speech_end", "<i8"),
        ("silent_frames", "<i4"),
        ("speech_frames", "<i4"),
        ("steps", "<i4"),
        ("energy", "<i8"),
        ("log_pitch", "<f8"),
        ("voiced", "<i4"),
        ("segments", "<i4"),  # from here on: totals of the stream's closed segments
        ("total_frames", "<i8"),
        ("total_steps", "<i8"),
        ("total_energy", "<i8"),
        ("total_log_pitch", "<f8"),
        ("total_voiced", "<i8"),
        (
            "stream_offset",
            "<i8",
        ),  # Kafka offsets: of the stream's first chunk, the segment's, the held samples', the last
        ("segment_offset", "<i8"),
        ("held_offset", "<i8"),
        ("last_offset", "<i8"),
        ("seen_ms", "<i8"),  # event time of the last chunk
        ("agent", "?"),
    ]
)
NO_END = np.iinfo(np.int64).max

_HEADER = struct.Struct("<2sBBHHB")  # magic, format, kind, state size, labels, length of the model's version
_MAGIC, _FORMAT, _OPEN, _ENDED = b"UT", 1, 0, 1
_MARKER = struct.Struct("<qqq")


def lookback(rate: int) -> int:
    """Samples before a block that its window may need: 8 frames of context and the rest of a 32 ms frame."""
    return MAX_CONTEXT_FRAMES * hop_samples(rate) + fft_samples(rate) - hop_samples(rate)


@dataclass(frozen=True, slots=True)
class Ended:
    """What is remembered of a stream that has ended, so that late chunks are known as such."""

    start_us: int
    sequence: int
    ended_ms: int


class StreamTable:
    """Rows by stream name. `state`, `logits` and `totals` grow with the largest model in use."""

    def __init__(self, state_size: int, labels: int, capacity: int = 64) -> None:
        self.rows = np.zeros(capacity, ROW)
        self.samples = np.zeros((capacity, lookback(16000) + block_samples(16000)), np.int16)
        self.state = np.zeros((capacity, state_size), np.float32)
        self.logits = np.zeros((capacity, labels), np.float32)
        self.totals = np.zeros((capacity, labels), np.float64)  # log-probabilities times steps, of closed segments
        self.model = np.zeros(capacity, np.int32)  # slot of the model that the row's numbers belong to
        self.partition = np.zeros(capacity, np.int32)
        self.names: list[str] = [""] * capacity
        self.topics: list[str | None] = [None] * capacity  # where the audio comes from, None without Kafka
        self._row_of: dict[str, int] = {}
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, stream: str) -> bool:
        return stream in self._row_of

    def row(self, stream: str) -> int | None:
        """The stream's row, or None."""
        return self._row_of.get(stream)

    def streams(self) -> Iterator[tuple[str, int]]:
        """(name, row) of every open stream, as a list taken now."""
        return iter(list(self._row_of.items()))

    def add(self, stream: str, partition: int, topic: str | None, rate: int, slot: int, gate: GateState) -> int:
        """A fresh row for a stream that is not in the table."""
        if not self._free:
            self._resize(2 * len(self.rows), self.state.shape[1], self.logits.shape[1])
        row = self._free.pop()
        for array in (self.samples, self.state, self.logits, self.totals):
            array[row] = 0
        self.rows[row] = np.zeros((), ROW)
        self.rows[row]["rate"] = rate
        self.rows[row]["last_sample"] = NO_END
        self.rows[row]["floor"], self.rows[row]["since_speech"] = gate.floor[0], gate.since_speech[0]
        for name in ("stream_offset", "segment_offset", "held_offset", "last_offset"):
            self.rows[row][name] = NO_OFFSET
        self.names[row], self.topics[row], self._row_of[stream] = stream, topic, row
        self.partition[row], self.model[row] = partition, slot
        return row

    def remove(self, row: int) -> None:
        """Give a row back."""
        del self._row_of[self.names[row]]
        self.names[row] = ""
        self._free.append(row)

    def widen(self, state_size: int, labels: int) -> None:
        """Make room for a model with a larger state or more labels."""
        if state_size > self.state.shape[1] or labels > self.logits.shape[1]:
            widest = max(state_size, self.state.shape[1]), max(labels, self.logits.shape[1])
            self._resize(len(self.rows), *widest)

    def carried(self, row: int) -> NDArray[np.int16]:
        """The samples that a row carries: its lookback and what is held beyond the last whole block."""
        return self.samples[row, : lookback(int(self.rows[row]["rate"])) + int(self.rows[row]["held"])]

    def pack(self, row: int, version: str, state_size: int, labels: int) -> bytes:
        """The row as a changelog record: about 2.5 KB at 8 kHz between segments, 4 KB inside one."""
        state_size = state_size if self.rows[row]["open"] else 0
        name = version.encode()
        return b"".join(
            (
                _HEADER.pack(_MAGIC, _FORMAT, _OPEN, state_size, labels, len(name)),
                name,
                self.rows[row].tobytes(),
                self.carried(row).astype("<i2").tobytes(),
                self.state[row, :state_size].astype("<f4").tobytes(),
                self.logits[row, :labels].astype("<f4").tobytes(),
                self.totals[row, :labels].astype("<f8").tobytes(),
            )
        )

    def unpack(
        self, stream: str, partition: int, topic: str | None, record: "OpenRecord", slot: int, *, same_model: bool
    ) -> None:
        """Put a record back into a row. With another model its open segment begins again, and its sums are lost."""
        row = self.add(stream, partition, topic, int(record.row["rate"]), slot, _no_gate())
        self.rows[row] = record.row
        self.samples[row, : record.samples.size] = record.samples
        if same_model:
            self.state[row, : record.state.size] = record.state
            self.logits[row, : record.logits.size] = record.logits
            self.totals[row, : record.totals.size] = record.totals
        else:
            self.rows[row]["open"] = False
            self.rows[row]["total_steps"] = 0

    def _resize(self, capacity: int, state_size: int, labels: int) -> None:
        known = len(self.rows)
        widths = {"state": state_size, "logits": labels, "totals": labels}
        for name in ("rows", "samples", "state", "logits", "totals", "model", "partition"):
            old = getattr(self, name)
            new = np.zeros((capacity, *(widths.get(name, size) for size in old.shape[1:])), old.dtype)
            new[tuple(slice(size) for size in old.shape)] = old
            setattr(self, name, new)
        self.names += [""] * (capacity - known)
        self.topics += [None] * (capacity - known)
        self._free = list(range(capacity - 1, known - 1, -1)) + self._free


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A changelog record of an open stream, read back."""

    version: str
    row: np.void
    samples: NDArray[np.int16]
    state: NDArray[np.float32]
    logits: NDArray[np.float32]
    totals: NDArray[np.float64]


def pack_ended(ended: Ended) -> bytes:
    """The changelog record of a stream that has ended."""
    header = _HEADER.pack(_MAGIC, _FORMAT, _ENDED, 0, 0, 0)
    return header + _MARKER.pack(ended.start_us, ended.sequence, ended.ended_ms)


def read_record(value: bytes) -> OpenRecord | Ended:
    """Read a changelog record.

    Raises:
        ValueError: not a record of this format, or its parts do not fit its length.
    """
    if len(value) < _HEADER.size:
        raise ValueError("state record is too short")
    magic, form, kind, state_size, labels, name_size = _HEADER.unpack_from(value)
    if (magic, form) != (_MAGIC, _FORMAT):
        raise ValueError(f"state record of format {form}, this version reads {_FORMAT}")
    body = value[_HEADER.size :]
    if kind == _ENDED:
        if len(body) != _MARKER.size:
            raise ValueError("state record has another length than it says")
        return Ended(*_MARKER.unpack(body))
    version, body = body[:name_size].decode(errors="replace"), body[name_size:]
    if len(body) < ROW.itemsize:
        raise ValueError("state record is too short")
    row, body = np.frombuffer(body, ROW, 1)[0], body[ROW.itemsize :]
    rate, held = int(row["rate"]), int(row["held"])
    if rate not in RATES or not 0 <= held < block_samples(rate):
        raise ValueError("state record is damaged")
    sizes = [2 * (lookback(rate) + held), 4 * state_size, 4 * labels, 8 * labels]
    if len(body) != sum(sizes):
        raise ValueError("state record has another length than it says")
    edges = np.cumsum([0, *sizes])
    samples, state, logits, totals = (body[a:b] for a, b in itertools.pairwise(edges))
    return OpenRecord(
        version,
        row,
        np.frombuffer(samples, "<i2"),
        np.frombuffer(state, "<f4"),
        np.frombuffer(logits, "<f4"),
        np.frombuffer(totals, "<f8"),
    )


def start_time(start_us: int) -> datetime:
    """The moment of a stream's first sample, UTC."""
    return EPOCH + timedelta(microseconds=int(start_us))


def _no_gate() -> GateState:
    return GateState(np.zeros(1, np.int32), np.zeros(1, np.int32))

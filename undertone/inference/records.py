"""State records: what the changelog keeps of a stream, as bytes. Little-endian, with a format number in front.

A checksum stands at the end. A damaged record may well parse, and an engine that goes on from it raises much later.
"""

import itertools
import struct
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from schemas.audio import RecordPlace
from undertone.acoustics.frames import RATES, block_samples, fft_samples, hop_samples
from undertone.inference import caller_memory

MAX_CONTEXT_FRAMES = 8
# A partition and a stream's name. Where a topic gets more partitions, a call may go on in another one, which another
# worker may have: what it was in the first one is then a stream of its own.
StreamKey = tuple[int, str]
NO_OFFSET = -1
NO_END = np.iinfo(np.int64).max

# A row of the stream table, and the first part of its record.
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
        # Kafka offsets: of the stream's first chunk, the segment's, the held samples', the last
        ("stream_offset", "<i8"),
        ("segment_offset", "<i8"),
        ("held_offset", "<i8"),
        ("last_offset", "<i8"),
        ("seen_ms", "<i8"),  # event time of the last chunk
        ("agent", "?"),
        *caller_memory.FIELDS,
    ]
)
# Before format 3 a row ended before the memory.
_ROW_BYTES_BEFORE = ROW.itemsize - np.dtype(caller_memory.FIELDS).itemsize

_HEADER = struct.Struct("<2sBBHHB")  # magic, format, kind, state size, labels, length of the model's version
# Format 1, which 0.1.0 writes, has no checksum, and formats 1 and 2 have no memory of the caller: an empty one is read.
_MAGIC, _UNCHECKED, _FORMAT = b"UT", 1, 3
_OPEN, _ENDED, _IDLE = 0, 1, 2
_I2, _F4, _F8 = np.dtype("<i2"), np.dtype("<f4"), np.dtype("<f8")
_MARKER = struct.Struct("<qqq")
_ENDED_MS = struct.Struct("<q")
_CHECKSUM = struct.Struct("<I")  # CRC-32 of all that stands before it


def offset_of(place: RecordPlace | None) -> int:
    """A record's Kafka offset; NO_OFFSET where it lies nowhere."""
    return place.offset if place else NO_OFFSET


@cache
def lookback(rate: int) -> int:
    """Samples before a block that its window may need: 8 frames of context and the rest of a 32 ms frame."""
    return MAX_CONTEXT_FRAMES * hop_samples(rate) + fft_samples(rate) - hop_samples(rate)


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """An open stream: its row, the samples it carries, its network's state, its sums and its memory.

    Of a stream that is closed for being idle there are no samples, no state and no logits.
    """

    version: str
    row: np.void
    samples: NDArray[np.int16]
    state: NDArray[np.float32]
    logits: NDArray[np.float32]
    totals: NDArray[np.float64]
    heard: NDArray[np.float64]

    def pack(self) -> bytes:
        """As bytes: about 2.5 KB at 8 kHz between segments, 4 KB inside one."""
        return _checked(_header(_OPEN, self) + self._body())

    def _body(self) -> bytes:
        return b"".join(
            (
                self.version.encode(),
                self.row.tobytes(),
                # Nearly every machine is little-endian: nothing is copied there.
                self.samples.astype(_I2, copy=False).tobytes(),
                self.state.astype(_F4, copy=False).tobytes(),
                self.logits.astype(_F4, copy=False).tobytes(),
                self.totals.astype(_F8, copy=False).tobytes(),
                self.heard.astype(_F8, copy=False).tobytes(),
            )
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """What is remembered of a stream that has ended, so that late chunks are known as such.

    `idle` is where it goes on if it was closed for being idle only.
    """

    start_us: int
    sequence: int
    ended_ms: int
    idle: OpenRecord | None = None

    def pack(self) -> bytes:
        """As bytes: 37, or about 460 of an idle one."""
        if self.idle:
            return _checked(_header(_IDLE, self.idle) + _ENDED_MS.pack(self.ended_ms) + self.idle._body())
        return _checked(_header(_ENDED) + _MARKER.pack(self.start_us, self.sequence, self.ended_ms))


def read_record(value: bytes) -> OpenRecord | Ended:
    """Read a state record.

    Raises:
        ValueError: not a record of this format or one before, damaged, or its parts do not fit its length.
    """
    if len(value) < _HEADER.size:
        raise ValueError("state record is too short")
    magic, form, kind, state_size, labels, name_size = _HEADER.unpack_from(value)
    if magic != _MAGIC or not _UNCHECKED <= form <= _FORMAT or kind not in (_OPEN, _ENDED, _IDLE):
        raise ValueError(f"state record of format {form}.{kind}, this version reads up to {_FORMAT}")
    body = (value if form == _UNCHECKED else _check(value))[_HEADER.size :]
    if kind == _ENDED:
        if len(body) != _MARKER.size:
            raise ValueError("state record has another length than it says")
        return Ended(*_MARKER.unpack(body))
    if kind == _OPEN:
        return _open_record(body, form, name_size, state_size, labels, labels, carries=True)
    if len(body) < _ENDED_MS.size:
        raise ValueError("state record is too short")
    (ended_ms,) = _ENDED_MS.unpack_from(body)
    idle = _open_record(body[_ENDED_MS.size :], form, name_size, 0, 0, labels, carries=False)
    return Ended(int(idle.row["start_us"]), int(idle.row["sequence"]), ended_ms, idle)


def _header(kind: int, record: OpenRecord | None = None) -> bytes:
    if record is None:
        return _HEADER.pack(_MAGIC, _FORMAT, kind, 0, 0, 0)
    name = record.version.encode()
    return _HEADER.pack(_MAGIC, _FORMAT, kind, record.state.size, record.totals.size, len(name))


def _checked(record: bytes) -> bytes:
    return record + _CHECKSUM.pack(zlib.crc32(record))


def _check(value: bytes) -> bytes:
    """The record without its checksum, which is the right one."""
    record = value[: -_CHECKSUM.size]
    if _checked(record) != value:
        raise ValueError("state record is damaged: its checksum is another one")
    return record


def _open_record(
    body: bytes, form: int, name_size: int, state_size: int, logits: int, totals: int, *, carries: bool
) -> OpenRecord:
    version, body = body[:name_size].decode(errors="replace"), body[name_size:]
    remembers = form == _FORMAT
    row_bytes = ROW.itemsize if remembers else _ROW_BYTES_BEFORE
    if len(body) < row_bytes:
        raise ValueError("state record is too short")
    row, body = np.frombuffer(body[:row_bytes].ljust(ROW.itemsize, b"\0"), ROW)[0], body[row_bytes:]
    rate, held = int(row["rate"]), int(row["held"])
    if rate not in RATES or not 0 <= held < block_samples(rate):
        raise ValueError("state record is damaged")
    sizes = [2 * (lookback(rate) + held) * carries, 4 * state_size, 4 * logits, 8 * totals, 8 * totals * remembers]
    if len(body) != sum(sizes):
        raise ValueError("state record has another length than it says")
    edges = itertools.accumulate(sizes, initial=0)
    parts = (body[a:b] for a, b in itertools.pairwise(edges))
    kinds = ("<i2", "<f4", "<f4", "<f8", "<f8")
    samples, state, logits_of, sums, heard_of = (np.frombuffer(*pair) for pair in zip(parts, kinds, strict=True))
    return OpenRecord(version, row, samples, state, logits_of, sums, heard_of if remembers else np.zeros(totals))

"""Segments: cuts speech into utterances, for a batch of streams at once, one block at a time.

Everything here works on rows that were copied out of the stream table and are written back by the engine.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.card import STEPS_PER_BLOCK, SegmentSpec
from undertone.acoustics.frames import BLOCK_FRAMES, hop_samples

_FRAMES_PER_STEP = BLOCK_FRAMES // STEPS_PER_BLOCK
_SEGMENT_FIELDS = ("silent_frames", "speech_frames", "steps", "energy", "log_pitch", "voiced")

# What a closed segment adds to its stream's totals.
_TOTALS = {
    "speech_frames": "total_frames",
    "steps": "total_steps",
    "energy": "total_energy",
    "log_pitch": "total_log_pitch",
    "voiced": "total_voiced",
}


class Cut(NamedTuple):
    """What the next block changes: which segments end before its speech, which begin in it."""

    first: NDArray[np.intp]  # [B], first speech frame of the block; 20 where there is none
    closing: NDArray[np.bool_]  # [B], an open segment has been silent for long enough
    opening: NDArray[np.bool_]  # [B], a segment begins at `first`


def cut(rows: NDArray[np.void], raw: NDArray[np.bool_], spec: SegmentSpec) -> Cut:
    """Find the segments that end and begin in a block.

    A gap is longer than a block, so a segment cannot end and another end in the same one.

    Args:
        rows: [B] rows of the stream table, before the block.
        raw: bool [B, 20], the frames that the gate takes for speech, without hang-over.
    """
    first = np.where(raw.any(axis=1), raw.argmax(axis=1), BLOCK_FRAMES)
    closing = rows["open"] & (rows["silent_frames"] + first >= spec.gap_frames)
    opening = (~rows["open"] | closing) & (first < BLOCK_FRAMES)
    return Cut(first, closing, opening)


def begin(rows: NDArray[np.void], found: Cut, rate: int, offsets: NDArray[np.int64]) -> None:
    """Close and open segments in `rows`, in place. `offsets` [B]: where each block's first sample lies in Kafka."""
    rows["open"] = (rows["open"] & ~found.closing) | found.opening
    for name in _SEGMENT_FIELDS:
        rows[name][found.opening] = 0
    start = rows["clock"] + found.first * hop_samples(rate)
    rows["segment_start"] = np.where(found.opening, start, rows["segment_start"])
    rows["segment_offset"] = np.where(found.opening, offsets, rows["segment_offset"])


def add_speech(rows: NDArray[np.void], raw: NDArray[np.bool_], energies: NDArray[np.int64], rate: int) -> None:
    """Count a block's speech into open segments, in place. `energies`: int64 [B, 20], sums of squares by hop."""
    speaking = rows["open"] & raw.any(axis=1)
    last = BLOCK_FRAMES - 1 - raw[:, ::-1].argmax(axis=1)
    end = np.minimum(rows["clock"] + (last + 1) * hop_samples(rate), rows["last_sample"])
    rows["speech_end"] = np.where(speaking, end, rows["speech_end"])
    silent = rows["silent_frames"] + BLOCK_FRAMES * rows["open"]
    rows["silent_frames"] = np.where(speaking, BLOCK_FRAMES - 1 - last, silent)
    rows["speech_frames"] += np.where(speaking, raw.sum(axis=1), 0).astype(np.int32)
    rows["energy"] += np.where(speaking, (energies * raw).sum(axis=1), 0)


def speech_steps(rows: NDArray[np.void], found: Cut, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Steps of the network that see speech or its hang-over, bool [B, 5]; none outside a segment."""
    frame = np.arange(BLOCK_FRAMES)
    speech = active & rows["open"][:, None] & ((frame >= found.first[:, None]) | ~found.opening[:, None])
    return speech.reshape(-1, STEPS_PER_BLOCK, _FRAMES_PER_STEP).any(axis=2)


def too_long(rows: NDArray[np.void], rate: int, spec: SegmentSpec) -> NDArray[np.bool_]:
    """Open segments that have reached their greatest length at the end of the block, bool [B]."""
    return rows["open"] & (rows["clock"] - rows["segment_start"] >= spec.max_seconds * rate)


def update_due(rows: NDArray[np.void], rate: int, spec: SegmentSpec) -> NDArray[np.bool_]:
    """Open segments that owe an update at the end of the block, bool [B]: by the stream's clock, not by chunks."""
    on_time = rows["clock"] % (rate * spec.update_ms // 1000) == 0
    enough = (rows["speech_frames"] >= spec.min_speech_frames) & (rows["steps"] > 0)
    return rows["open"] & on_time & enough & (rows["clock"] <= rows["last_sample"])


def clicks(rows: NDArray[np.void], spec: SegmentSpec) -> NDArray[np.bool_]:
    """Segments with too little speech to say anything of them, bool [B]."""
    return (rows["speech_frames"] < spec.min_speech_frames) | (rows["steps"] == 0)


def add_to_totals(rows: NDArray[np.void]) -> None:
    """Count segments that have ended into their streams' totals, in place."""
    rows["segments"] += 1
    for name, total in _TOTALS.items():
        rows[total] += rows[name]

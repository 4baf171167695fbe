"""Runs: samples of one stream that follow each other without a break, and where each of them lies in Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import block_samples, frame_view
from undertone.inference.records import lookback
from undertone.inference.streams import StreamTable

Samples = NDArray[np.int16]
Indices = NDArray[np.intp]


@dataclass(slots=True)
class Run:
    """New samples of a row, and whether the stream ends with them."""

    row: int
    pieces: list[Samples] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    length: int = 0
    ended_by: str | None = None

    def add(self, samples: Samples, offset: int) -> None:
        """Append the samples of the record at `offset`."""
        self.pieces.append(samples)
        self.offsets.append(offset)
        self.length += samples.size


class Buffers:
    """Runs of one rate laid end to end, each behind the samples that its row carries: lookback, held, new samples.

    What a block needs of all of them is then a few array operations. Where a stream ends, zeros fill up its last block.
    """

    def __init__(self, runs: Sequence[Run], table: StreamTable, rate: int) -> None:
        self.rows = np.array([run.row for run in runs], np.intp)
        self._before, self._block = lookback(rate), block_samples(rate)
        pieces: list[Samples] = []
        offsets: list[int] = []
        counts: list[int] = []  # pieces up to the end of each run
        held, held_offsets = (table.rows[name][self.rows].tolist() for name in ("held", "held_offset"))
        for run, carried, offset in zip(runs, held, held_offsets, strict=True):
            pieces += [table.samples[run.row, : self._before + carried], *run.pieces]
            offsets += [offset, *run.offsets]
            if run.ended_by:
                pieces.append(np.zeros(-(carried + run.length) % self._block, np.int16))
                offsets.append(offsets[-1])
            counts.append(len(pieces))
        # Room behind the last run, so that a window of the widest that is carried can be taken there too.
        self._samples: Samples = np.concatenate([*pieces, np.zeros(self._before + self._block, np.int16)])
        self._offsets = np.array(offsets, np.int64)
        self._ends = np.cumsum([piece.size for piece in pieces])  # of pieces
        self._last = np.array(counts, np.intp) - 1  # each run's last piece
        run_ends = self._ends[self._last]
        self._starts = np.concatenate([[0], run_ends[:-1]])
        self.blocks = (run_ends - self._starts - self._before) // self._block
        self._kept = run_ends - self._starts - self.blocks * self._block

    def windows(self, which: Indices, block: int) -> Samples:
        """Block number `block` of the runs `which`, and the lookback before it: [n, lookback + block]."""
        return self._cut(self._starts[which] + block * self._block, self._before + self._block)

    def block_offsets(self, which: Indices, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Kafka offsets of the first and the last sample of block number `block` of the runs `which`."""
        start = self._starts[which] + self._before + block * self._block
        return self._offsets_at(start, which), self._offsets_at(start + self._block - 1, which)

    def keep(self, table: StreamTable) -> None:
        """Carry what the next block needs: its lookback, and the samples that did not fill a block."""
        start, width = self._starts + self.blocks * self._block, int(self._kept.max())
        tails = self._cut(start, width)
        tails[np.arange(width) >= self._kept[:, None]] = 0  # behind a shorter one there lies another stream's sound
        table.carry(self.rows, tails)
        table.rows["held"][self.rows] = self._kept - self._before
        table.rows["held_offset"][self.rows] = self._offsets_at(start + self._before, np.arange(self.rows.size))

    def _cut(self, start: Indices, width: int) -> Samples:
        return frame_view(self._samples, width, hop=1)[start]

    def _offsets_at(self, samples: Indices, which: Indices) -> NDArray[np.int64]:
        return self._offsets[np.minimum(np.searchsorted(self._ends, samples, side="right"), self._last[which])]

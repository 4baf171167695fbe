"""Runs: samples of one stream that follow each other without a break, and where each of them lies in Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import block_samples
from undertone.inference.records import lookback
from undertone.inference.streams import StreamTable

Samples = NDArray[np.int16]


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


class Buffer:
    """A run laid behind the samples that its row carries: lookback, held samples, new samples.

    Where the stream ends, zeros fill up the last block.
    """

    def __init__(self, run: Run, table: StreamTable) -> None:
        fields = table.rows[run.row]
        self.row, self.rate = run.row, int(fields["rate"])
        pieces, offsets = [table.carried(run.row), *run.pieces], [int(fields["held_offset"]), *run.offsets]
        if run.ended_by:
            pieces.append(np.zeros(-(int(fields["held"]) + run.length) % block_samples(self.rate), np.int16))
            offsets.append(offsets[-1])
        self.samples: Samples = np.concatenate(pieces)
        self.blocks = (self.samples.size - lookback(self.rate)) // block_samples(self.rate)
        self._ends = np.cumsum([piece.size for piece in pieces])
        self._offsets = offsets

    def window(self, block: int) -> Samples:
        """Block number `block` of this buffer and the lookback before it."""
        start = block * block_samples(self.rate)
        return self.samples[start : start + lookback(self.rate) + block_samples(self.rate)]

    def block_offsets(self, block: int) -> tuple[int, int]:
        """Kafka offsets of the first and the last sample of block number `block`."""
        start = lookback(self.rate) + block * block_samples(self.rate)
        return self._offset_at(start), self._offset_at(start + block_samples(self.rate) - 1)

    def keep(self, table: StreamTable) -> None:
        """Carry what the next block needs: its lookback, and the samples that did not fill a block."""
        start = self.blocks * block_samples(self.rate)
        kept, fields = self.samples[start:], table.rows[self.row]
        table.samples[self.row, : kept.size] = kept
        fields["held"] = kept.size - lookback(self.rate)
        fields["held_offset"] = self._offset_at(start + lookback(self.rate))

    def _offset_at(self, sample: int) -> int:
        return self._offsets[min(int(np.searchsorted(self._ends, sample, side="right")), len(self._offsets) - 1)]


def by_settings(buffers: Sequence[Buffer], table: StreamTable, current: int) -> dict[int, list[Buffer]]:
    """By the slot of the model whose gate and segment settings the next block goes by: mostly there is one."""
    by_slot: dict[int, list[Buffer]] = {}
    for buffer in buffers:
        by_slot.setdefault(table.settings_slot(buffer.row, current), []).append(buffer)
    return by_slot

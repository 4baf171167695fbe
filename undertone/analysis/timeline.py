"""Emotions over time as areas to draw: probabilities while somebody speaks, nothing in between."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.events import Segment, Update

# More corners or bars than this are not seen, and a page of a 24-hour call must open like any other.
MAX_POINTS = 4000
MAX_BARS = 1500
CELLS = 1500


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time with one label. `event` is None where many segments share a bar."""

    start_s: float
    end_s: float
    label: str
    event: Segment | None


class Timeline:
    """Collects one stream's updates and segments."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.segments: list[Segment] = []
        self._open: list[tuple[float, NDArray[np.float32]]] = []
        self._corners: list[tuple[float, NDArray[np.float32]]] = []

    def add(self, event: Update | Segment) -> None:
        """Add the stream's next event."""
        end_s = event.end_sample / event.sample_rate
        probabilities = np.array([event.probabilities.get(label, 0.0) for label in self.labels], np.float32)
        if isinstance(event, Update):
            self._open.append((end_s, probabilities))
            return
        start_s, nothing = event.start_sample / event.sample_rate, np.zeros_like(probabilities)
        # Updates go on while silence is waited for; the segment ended before.
        within = [(time, values) for time, values in self._open if start_s < time < end_s]
        first = within[0][1] if within else probabilities
        self._corners += [(start_s, nothing), (start_s, first), *within, (end_s, probabilities), (end_s, nothing)]
        self._open = []
        self.segments.append(event)

    def areas(self, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Corner times [n] and the probabilities there [n, labels], 0 between segments.

        Long streams get cells of equal time instead, in which the sum is the share of the time with speech.
        """
        if len(self._corners) <= MAX_POINTS:
            times = np.array([time for time, _ in self._corners])
            return times, np.array([values for _, values in self._corners]).reshape(len(times), len(self.labels))
        values = np.array([[one.probabilities.get(label, 0.0) for label in self.labels] for one in self.segments])
        share = self._spread(seconds, CELLS, values)
        return (np.arange(CELLS) + 0.5) * seconds / CELLS, share.astype(np.float32)

    def bars(self, seconds: float) -> list[Bar]:
        """A bar per segment, or per cell where there are too many segments: the label that lasts longest."""
        if len(self.segments) <= MAX_BARS:
            return [
                Bar(one.start_sample / one.sample_rate, one.end_sample / one.sample_rate, one.label, one)
                for one in self.segments
            ]
        names = sorted({one.label for one in self.segments})
        lasting = self._spread(
            seconds, MAX_BARS, np.array([[one.label == name for name in names] for one in self.segments])
        )
        step = seconds / MAX_BARS
        return [
            Bar(cell * step, (cell + 1) * step, names[int(row.argmax())], None)
            for cell, row in enumerate(lasting)
            if row.any()
        ]

    def _spread(self, seconds: float, cells: int, values: NDArray) -> NDArray[np.float64]:
        """Each segment's `values` [segments, k] on the cells that it touches, by the share of the cell it fills."""
        out = np.zeros((cells, values.shape[1]))
        for one, row in zip(self.segments, values, strict=True):
            scale = cells / seconds / one.sample_rate
            first, last = one.start_sample * scale, one.end_sample * scale
            touched = np.arange(int(first), min(cells, int(np.ceil(last))))
            share = np.minimum(last, touched + 1) - np.maximum(first, touched)
            out[touched] += share[:, None] * row
        return out

"""Whether calls are still like a model's own data: figures of what is heard, their histograms, and how far two differ.

Figures are taken where the engine has them, for all streams of a batch together, and before the caller's memory and the
class prior: those depend on who works with the model, and of files one by one there is no memory.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.reference import Histogram, Reference
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.inference import caller_memory

LABELS = "labels"
BANDS = 8
# In place of a share of none, whose logarithm is none: as Evidently does it.
_LEAST_SHARE = 1e-4

Floats = NDArray[np.floating]
Figures = dict[str, Floats]


class Measured(NamedTuple):
    """Figures of some utterances or blocks, and the version of the model that heard them."""

    version: str
    figures: Figures


def of_blocks(features: Floats, steps: NDArray[np.bool_], context: int) -> Figures:
    """The front end's band means over the speech of each block.

    Args:
        features: [n, context + 20, n_mels]; `steps` [n, 5], those with speech, at least one in each row.
    """
    frames = features[:, context:]
    heard = np.repeat(steps, frames.shape[1] // steps.shape[1], axis=1).astype(frames.dtype)
    means = np.einsum("nf,nfm->nm", heard, frames) / heard.sum(axis=1, keepdims=True)
    firsts = np.arange(BANDS) * means.shape[1] // BANDS
    sums = np.add.reduceat(means, firsts, axis=1)
    return dict(zip(band_names(), (sums / np.diff([*firsts, means.shape[1]])).T, strict=True))


def of_utterances(
    labels: tuple[str, ...], alone: Floats, rows: NDArray[np.void], voice: caller_memory.Measured
) -> Figures:
    """Of utterances that have ended.

    Args:
        alone: [n, labels], probabilities before memory and prior.
        rows: [n] of the stream table; `voice` is what was measured of them.
    """
    lasted = (rows["speech_end"] - rows["segment_start"]) / (rows["rate"] / HOPS_PER_SECOND)
    levels, pitches = (values[weights > 0] for values, weights in (voice["level"], voice["pitch"]))
    return {f"probability {label}": alone[:, k] for k, label in enumerate(labels)} | {
        LABELS: alone.argmax(axis=1),
        "level": levels,
        "pitch": pitches,
        "speech": np.minimum(rows["speech_frames"] / np.maximum(lasted, 1), 1),
    }


def band_names() -> list[str]:
    """The figures of `of_blocks`, from low to high."""
    return [f"band {number + 1}" for number in range(BANDS)]


def histogram(values: Floats, edges: tuple[float, ...], weights: Floats | None = None) -> NDArray[np.float64]:
    """How much of `values` lies in each bin."""
    places = np.searchsorted(edges, values, side="right")
    return np.bincount(places, weights, len(edges) + 1).astype(np.float64)


def psi(reference: Floats, found: Floats) -> Floats:
    """Population stability index of shares or counts [..., bins]: sum of (found - reference) ln(found / reference)."""
    expected, actual = (_shares(np.asarray(one, np.float64)) for one in (reference, found))
    return ((actual - expected) * np.log(actual / expected)).sum(axis=-1)


def _shares(counts: Floats) -> Floats:
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return np.where(shares > 0, shares, _LEAST_SHARE)


class Running:
    """Histograms of what is heard now, over a reference's bins. What is older fades, as far as `fade` is called."""

    def __init__(self, reference: Reference) -> None:
        self.reference: Mapping[str, Histogram] = reference.figures
        self._counts = {name: np.zeros(len(one.shares)) for name, one in self.reference.items()}

    def add(self, measured: Iterable[Figures]) -> None:
        """Count what some batches have brought."""
        together: dict[str, list[Floats]] = {}
        for figures in measured:
            for name in figures.keys() & self._counts.keys():
                together.setdefault(name, []).append(figures[name])
        for name, parts in together.items():
            self._counts[name] += histogram(np.concatenate(parts), self.reference[name].edges)

    def fade(self, factor: float) -> None:
        """Let all that was counted count less."""
        self._counts = {name: counts * factor for name, counts in self._counts.items()}

    @property
    def utterances(self) -> float:
        """How many utterances it rests on, faded ones as far as they count."""
        return float(self._counts[LABELS].sum()) if LABELS in self._counts else 0.0

    def psi(self) -> dict[str, float]:
        """By figure; without those of which nothing was heard."""
        return {
            name: float(psi(np.array(self.reference[name].shares), counts))
            for name, counts in self._counts.items()
            if counts.sum() > 0
        }

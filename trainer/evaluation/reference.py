"""A card's reference: what a model's own data are like to a worker, so that workers can tell when calls are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard
from schemas.reference import Histogram, Reference
from undertone.analysis.prediction import Band, Call, chunks_of_call
from undertone.inference import drift
from undertone.inference.class_prior import CARD, shares_of
from undertone.inference.engine import Engine
from undertone.inference.model import Model

# Deciles: more bins tell more of each other's noise than of a change.
_BINS = 10
_DRAWS, _BOUND, _SEED = 500, 0.99, 0
# A second or two of a core; ten times as many move a decile by less than a hundredth of what lies between two.
_MOST_FILES = 1500


@dataclass(frozen=True, slots=True)
class Heard:
    """What one model has measured of some files: by file its speaker, how much it counts, and its figures."""

    speakers: Sequence[str]
    weights: NDArray[np.float64]
    figures: Sequence[drift.Figures]
    utterances: int

    def __add__(self, other: "Heard") -> "Heard":
        return Heard(
            [*self.speakers, *other.speakers],
            np.concatenate([self.weights, other.weights]),
            [*self.figures, *other.figures],
            self.utterances + other.utterances,
        )


def listen(model: Model, paths: Sequence[Path], truth: NDArray[np.integer], speakers: Sequence[str]) -> Heard:
    """Hear files by telephone, as workers hear most calls; a file counts by how often its label is in calls.

    Raises:
        UserError: a file cannot be read.
    """
    some = np.sort(np.random.default_rng(_SEED).permutation(len(paths))[:_MOST_FILES])
    by_label = _weights(model.card, truth[some])
    figures, utterances = [], 0
    for row in some:
        call = Call(0, [paths[row]])
        measured = Engine(model, measure=True).feed(list(chunks_of_call(call, Band.TELEPHONE))).measured
        if call.unreadable:
            raise call.unreadable[0]
        figures.append(_joined([one.figures for one in measured]))
        utterances += len(figures[-1].get(drift.LABELS, ()))
    return Heard([speakers[row] for row in some], by_label[truth[some]], figures, utterances)


def reference_of(heard: Heard, labels: int, *, held_out: bool) -> Reference | None:
    """The histograms, and from a bootstrap over speakers what is no more than chance; None where nothing was said."""
    names = dict.fromkeys(name for figures in heard.figures for name in figures)
    if not heard.utterances:
        return None
    figures = {name: _histogram(heard, name, labels) for name in names}
    return Reference(
        utterances=heard.utterances,
        speakers=len(set(heard.speakers)),
        held_out=held_out,
        figures={name: one for name, one in figures.items() if one},
    )


def _weights(card: ModelCard, truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """How much a file of each label counts [labels], so that labels are as often as in calls."""
    counts = np.bincount(truth, minlength=len(card.labels))
    prior = shares_of(CARD, card.labels, card.calibration)
    return np.array([prior[label] for label in card.labels]) / np.maximum(counts, 1) * len(truth)


def _joined(parts: Sequence[Mapping[str, drift.Floats]]) -> drift.Figures:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


def _histogram(heard: Heard, name: str, labels: int) -> Histogram | None:
    values = np.concatenate([figures[name] for figures in heard.figures if name in figures])
    if not values.size:
        return None
    if name == drift.LABELS:
        edges = tuple(np.arange(labels - 1) + 0.5)
    else:
        edges = tuple(np.unique(np.round(np.quantile(values, np.arange(1, _BINS) / _BINS), 5)).tolist())
    by_speaker: dict[str, NDArray[np.float64]] = {}
    for speaker, weight, figures in zip(heard.speakers, heard.weights, heard.figures, strict=True):
        counts = weight * drift.histogram(figures.get(name, np.empty(0)), edges)
        by_speaker[speaker] = by_speaker.get(speaker, 0) + counts
    counts = np.array(list(by_speaker.values()))
    draws = np.random.default_rng(_SEED).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), _DRAWS)
    drawn = draws @ counts
    chance = drift.psi(counts.sum(axis=0), drawn[drawn.sum(axis=1) > 0])
    shares = np.round(counts.sum(axis=0) / counts.sum(), 6)
    return Histogram(
        edges=tuple(map(float, edges)),
        shares=tuple(shares.tolist()),
        bound=round(float(np.quantile(chance, _BOUND)), 4),
    )

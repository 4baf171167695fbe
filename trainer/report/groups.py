"""Gaps between people: the same figure for each speaker and gender, with what chance alone could do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.held_out import HeldOutResult
from undertone.analysis.metrics import confusion_matrix, uar

_DRAWS = 400


@dataclass(frozen=True, slots=True)
class GroupScore:
    """UAR of one group's files, and the 95% interval over draws of them."""

    name: str
    n: int
    uar: float
    low: float
    high: float


def score_groups(result: HeldOutResult, names: Sequence[str], seed: int = 0) -> list[GroupScore]:
    """A score for each name; rows without a name ("") are left out.

    Args:
        names: the group of each of the result's rows.
    """
    found = []
    for name in sorted(set(names) - {""}):
        rows = np.flatnonzero(np.array(names) == name)
        low, high = _interval(result, [np.array([row]) for row in rows], seed)
        found.append(GroupScore(name, len(rows), _uar(result, rows), low, high))
    return found


def interval_over_speakers(result: HeldOutResult, speakers: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """95% interval of the UAR over draws of whole speakers: what other people of the same kind might give."""
    who = np.array(speakers)
    return _interval(result, [np.flatnonzero(who == name) for name in sorted(set(speakers))], seed)


def _interval(result: HeldOutResult, units: Sequence[NDArray[np.integer]], seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    draws = [
        _uar(result, np.concatenate([units[k] for k in rng.integers(len(units), size=len(units))]))
        for _ in range(_DRAWS)
    ]
    return float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975))


def _uar(result: HeldOutResult, rows: NDArray[np.integer]) -> float:
    classes = result.probabilities.shape[1]
    return uar(confusion_matrix(result.truth[rows], result.predictions[rows], classes))

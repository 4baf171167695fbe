"""Held-out files as they are heard in calls: each one after other utterances of its speaker."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from trainer.evaluation.held_out import HeldOutResult, known_classes
from undertone.analysis.alarms import QUIET
from undertone.analysis.prediction import AFTER_S, predict_calls
from undertone.inference.class_prior import UNIFORM
from undertone.inference.model import Model

# Utterances heard before, and how many of them are neutral or calm: people in calls mostly are.
BEFORE = {3: 2, 10: 7}
# Each file costs as many more as are heard before it.
_MOST_CALLS = 200


def evaluate_in_calls(
    paths: Sequence[Path],
    truth: NDArray[np.int64],
    allowed: NDArray[np.floating],
    speakers: Sequence[str],
    model: Model,
    seed: int,
) -> dict[str, HeldOutResult]:
    """The files after 3 and after 10 utterances of their speakers, in one stream; without those that have fewer.

    Args:
        truth: [n] numbers of the model's labels.
        allowed: [n, C] 0/1, the classes that each file's corpus knows.

    Raises:
        UserError: a file that could be read for training can no longer be read.
    """
    usual = np.array([model.card.labels[label] in QUIET for label in truth])
    results = {}
    for before, quiet in BEFORE.items():
        calls = draw_calls(usual, speakers, before, quiet, seed)
        if calls:
            results[f"after {before} utterances"] = _evaluate(calls, paths, truth, allowed, model)
    return results


def draw_calls(
    usual: NDArray[np.bool_],
    speakers: Sequence[str] | NDArray[np.str_],
    before: int,
    quiet: int,
    seed: int,
    most: int = _MOST_CALLS,
) -> list[NDArray[np.int64]]:
    """Rows of each call [before + 1]: `quiet` usual ones of a speaker and some of any kind, then the one to judge.

    Where a speaker has fewer usual ones, more of any kind are taken. At most `most` rows are judged, each once.
    """
    rng, who = np.random.default_rng(seed), np.array(speakers)
    calls = []
    for row in rng.permutation(len(who)):
        others = rng.permutation(np.flatnonzero((who == who[row]) & (np.arange(len(who)) != row)))
        if len(others) < before:
            continue
        first = others[usual[others]][:quiet]
        rest = others[~np.isin(others, first)][: before - len(first)]
        calls.append(np.array([*rng.permutation(np.concatenate([first, rest])), row], np.int64))
        if len(calls) == most:
            break
    return calls


def _evaluate(
    calls: Sequence[NDArray[np.int64]],
    paths: Sequence[Path],
    truth: NDArray[np.int64],
    allowed: NDArray[np.floating],
    model: Model,
) -> HeldOutResult:
    found = dict(predict_calls([[paths[row] for row in call] for call in calls], model.with_prior(UNIFORM)))
    last = [found[number][-1] for number in range(len(calls))]
    rows = np.array([call[-1] for call in calls])
    for prediction in last:
        if isinstance(prediction, UserError):
            raise prediction
    finals = [one.final for one in last if not isinstance(one, UserError)]
    after = [[one.after[k] for one in last if not isinstance(one, UserError)] for k in range(len(AFTER_S))]
    return HeldOutResult(
        truth[rows],
        known_classes(finals, allowed[rows]),
        {seconds: known_classes(part, allowed[rows]) for seconds, part in zip(AFTER_S, after, strict=True)},
    )

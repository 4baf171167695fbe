"""Settings by Optuna, on inner validation speakers: the test speakers of a fold are not in sight.

The training speakers are divided again; a trial's figure is its mean UAR over those inner folds, and one that falls
behind the median after an inner fold is dropped. The first trial is the system's defaults.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import TrialState
from sklearn.model_selection import GroupKFold

from trainer.compare.systems import Config, Labels, Rows, System

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True, slots=True)
class Choice:
    """The settings that were chosen, and their UAR on inner speakers; None where nothing could be searched."""

    config: Config
    inner_uar: float | None
    trials: int


def inner_splits(rows: Rows, groups: NDArray[np.str_], count: int, seed: int) -> list[tuple[Rows, Rows]]:
    """(train, valid) rows, by speaker; every training speaker validates once. One speaker alone: no split at all."""
    speakers = len(np.unique(groups[rows]))
    if speakers < 2:
        return []
    folds = GroupKFold(min(count, speakers), shuffle=True, random_state=seed)
    return [(rows[train], rows[valid]) for train, valid in folds.split(rows, groups=groups[rows])]


def choose(system: System, inputs: Any, splits: list[tuple[Rows, Rows]], y: Labels, trials: int, seed: int) -> Choice:
    """The best settings of `trials` for this system on these inner splits.

    Without inner splits (one training speaker: nobody to validate on), without trials or without anything to search,
    the defaults stand. An inner training part of one class cannot be fitted and is left out.
    """
    usable = [(train, valid) for train, valid in splits if len(np.unique(y[train])) > 1]
    if not usable or trials < 1 or not system.space:
        return Choice(system.defaults, None, 0)

    study = optuna.create_study(
        direction="maximize",
        sampler=TPESampler(seed=seed, n_startup_trials=max(2, trials // 3)),
        pruner=MedianPruner(n_startup_trials=2),
    )
    study.enqueue_trial(system.defaults)
    for _ in range(trials):
        trial = study.ask(dict(system.space))
        uar = _attempt(trial, system, inputs, usable, y, seed)
        study.tell(trial, uar, state=TrialState.PRUNED if uar is None else TrialState.COMPLETE)
    best = study.best_trial
    return Choice({**best.params, **best.user_attrs["learned"]}, float(study.best_value), trials)


def _attempt(
    trial: optuna.Trial, system: System, inputs: Any, splits: list[tuple[Rows, Rows]], y: Labels, seed: int
) -> float | None:
    """Mean UAR over the inner folds; None if the trial was dropped on the way."""
    uars: list[float] = []
    learned: list[Config] = []
    for step, (train, valid) in enumerate(splits):
        uar, found = system.try_out(inputs, train, valid, y, trial.params, seed)
        uars.append(uar)
        learned.append(found)
        trial.report(float(np.mean(uars)), step)
        if step + 1 < len(splits) and trial.should_prune():
            return None
    trial.set_user_attr("learned", _mean_of(learned))
    return float(np.mean(uars))


def _mean_of(learned: list[Config]) -> Config:
    """What was learned on the inner folds, averaged: whole numbers (epochs)."""
    return {name: round(float(np.mean([one[name] for one in learned]))) for name in learned[0]}

"""A finished cell in figures: what compare.json holds of it, and what the page and the plots are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trainer.compare.bench import Bench, SplitName
from trainer.compare.cells import CellResult, Chosen, Training
from trainer.compare.features import AFTER_SECONDS
from trainer.compare.measures import (
    confusion_of,
    hardest_pairs,
    interval,
    mean_recall,
    resampled_uars,
    speaker_confusions,
    uar_by,
)
from undertone.analysis.evaluate import UTTERANCES_HEARD, after_utterances


class CellSummary(BaseModel):
    """One cell.

    `uar`: mean over folds (or random splits) of the mean over repeats. `uar_std_folds` and `uar_std_repeats`: standard
    deviation over folds, and over the repeats' means; None where there was one. `interval`: the middle 95% of the UAR
    of all predictions with the test speakers drawn anew, None for a random split. `confusion`: rows are the truth, all
    repeats added up. `after`: UAR after so many seconds of speech, `heard` in compare.json. `uar_after_utterances`,
    `n_after_utterances`: as `undertone evaluate --calls` has them, of the first repeat; a model that does not remember
    predicts for a clip what it predicts alone.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    system: str
    family: str
    features: str
    split: SplitName
    uar: float
    uar_std_folds: float | None
    uar_std_repeats: float | None
    interval: tuple[float, float] | None
    accuracy: float
    parameters: int
    fit_seconds: float
    seconds: float
    repeats: int
    chosen: list[Chosen]
    confusion: list[list[int]]
    recall: dict[str, float]
    hardest_pairs: list[tuple[str, str, float]]
    by_speaker: dict[str, float]
    by_gender: dict[str, float]
    by_intensity: dict[str, float]
    after: dict[str, float] = Field(alias="heard")
    remembers: bool
    uar_after_utterances: dict[str, float]
    n_after_utterances: dict[str, int]


def summarise(bench: Bench, result: CellResult, family: str) -> CellSummary:
    """Figures of one cell."""
    predictions = np.array(result.predictions)
    classes = len(bench.labels)
    matrix = confusion_of(bench.y, predictions, classes)
    by_fold, by_repeat = _table(result.trainings, "part"), _table(result.trainings, "seed")
    speakers = result.cell.split == "speakers"
    counts = speaker_confusions(bench.y, predictions, classes, bench.groups) if speakers else None
    in_calls = _in_calls(bench, result) if speakers else {}
    return CellSummary(
        system=result.cell.system,
        family=family,
        features=result.cell.features,
        split=result.cell.split,
        uar=round(float(np.mean(by_fold)), 4),
        uar_std_folds=_spread(by_fold),
        uar_std_repeats=_spread(by_repeat),
        interval=None if counts is None else _rounded(interval(resampled_uars(counts))),
        accuracy=round(float(np.mean([training.accuracy for training in result.trainings])), 4),
        parameters=round(float(np.mean([training.parameters for training in result.trainings]))),
        fit_seconds=round(float(np.mean([training.fit_seconds for training in result.trainings])), 3),
        seconds=result.seconds,
        repeats=len(by_repeat),
        chosen=result.chosen,
        confusion=matrix.tolist(),
        recall=_recall(matrix, bench.labels),
        hardest_pairs=[(a, b, round(share, 4)) for a, b, share in hardest_pairs(matrix, bench.labels)],
        by_speaker=_by(bench, predictions, list(bench.groups)) if speakers else {},
        by_gender=_by(bench, predictions, [u.gender for u in bench.utterances]) if speakers else {},
        by_intensity=_by(bench, predictions, [u.intensity for u in bench.utterances]) if speakers else {},
        after={
            f"{seconds:g}": round(mean_recall(bench.y, np.array(row)), 4)
            for seconds, row in zip(AFTER_SECONDS, result.after, strict=False)
        },
        remembers=bool(result.in_calls),
        uar_after_utterances={heard: round(uar, 4) for heard, (_, uar) in in_calls.items()},
        n_after_utterances={heard: clips for heard, (clips, _) in in_calls.items()},
    )


def advantage(bench: Bench, one: CellResult, other: CellResult) -> tuple[float, float, float]:
    """How far `one` lies above `other` on the same speakers: the difference in UAR and the middle 95% of it."""
    first, second = (
        resampled_uars(speaker_confusions(bench.y, np.array(cell.predictions), len(bench.labels), bench.groups))
        for cell in (one, other)
    )
    return (float((first - second).mean()), *interval(first - second))


def _in_calls(bench: Bench, result: CellResult) -> dict[str, tuple[int, float]]:
    """Clips and UAR by how many utterances of the speaker were heard before."""
    heard = np.array(UTTERANCES_HEARD)[:, None]
    predictions = np.array(result.in_calls)
    if not result.in_calls:
        _, who, clips = np.unique(bench.groups, return_inverse=True, return_counts=True)
        predictions = np.where(clips[who] > heard, np.array(result.predictions[0]), -1)
    judged = predictions >= 0
    truth, before = np.broadcast_to(bench.y, judged.shape), np.broadcast_to(heard, judged.shape)
    return after_utterances(truth[judged], predictions[judged], before[judged], len(bench.labels))


def _table(trainings: Sequence[Training], by: str) -> list[float]:
    """Mean UAR for each fold (`part`) or each repeat (`seed`)."""
    keys = sorted({getattr(training, by) for training in trainings})
    return [float(np.mean([t.uar for t in trainings if getattr(t, by) == key])) for key in keys]


def _spread(values: Sequence[float]) -> float | None:
    return round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(pair[0], 4), round(pair[1], 4)


def _recall(matrix: NDArray[np.int64], labels: Sequence[str]) -> dict[str, float]:
    support = matrix.sum(axis=1)
    return {label: round(float(matrix[k, k] / support[k]), 4) for k, label in enumerate(labels) if support[k]}


def _by(bench: Bench, predictions: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    groups = uar_by(bench.y, predictions, len(bench.labels), names)
    return {name: round(value, 4) for name, value in groups.items()}

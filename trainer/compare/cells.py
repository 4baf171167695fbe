"""One cell: a system on a set of features under a split, searched, trained, repeated, and tested."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trainer.compare.bench import Bench, SplitName
from trainer.compare.features import AFTER_SECONDS
from trainer.compare.measures import mean_recall
from trainer.compare.search import Choice, choose, inner_splits
from trainer.compare.systems import Labels, Remembering, Rows, System
from undertone.analysis.evaluate import UTTERANCES_HEARD


class Cell(BaseModel):
    """What is run."""

    model_config = ConfigDict(frozen=True)

    corpus: str
    system: str
    features: str
    split: SplitName


class Protocol(BaseModel):
    """How every cell is run."""

    model_config = ConfigDict(frozen=True)

    trials: int
    network_trials: int
    inner_folds: int
    repeats: int
    random_splits: int
    seed: int = 0

    def of(self, split: SplitName, takes: str) -> dict[str, int]:
        """The part that a cell depends on."""
        trials = self.trials if takes == "vectors" else self.network_trials
        rounds = self.repeats if split == "speakers" else self.random_splits
        return {"trials": trials, "inner_folds": self.inner_folds, "rounds": rounds, "seed": self.seed}


class Training(BaseModel):
    """One trained model: its fold (or random split), its seed, and what came out on its test clips."""

    model_config = ConfigDict(frozen=True)

    part: int
    seed: int
    uar: float
    accuracy: float
    fit_seconds: float
    parameters: int


class Chosen(BaseModel):
    """What the search found for one fold or random split, on inner speakers alone."""

    model_config = ConfigDict(frozen=True)

    part: int
    config: dict[str, Any]
    inner_uar: float | None
    trials: int


class CellResult(BaseModel):
    """A finished cell. `predictions`: a row for each repeat (or random split), a class for each clip, -1: not tested.

    `after`: the same for all clips of the test folds after AFTER_SECONDS of speech, for the first repeat. Kept cells
    know the two by their first names. `in_calls`: the same after UTTERANCES_HEARD of the clip's speaker, of models that
    remember them; -1 where there were too few.
    """

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    cell: Cell
    trainings: list[Training]
    chosen: list[Chosen]
    predictions: list[list[int]] = Field(alias="answers")
    after: list[list[int]] = Field(alias="heard")
    in_calls: list[list[int]] = []
    seconds: float


def run_cell(bench: Bench, system: System, cell: Cell, protocol: Protocol) -> CellResult:
    """Search, train and test one cell. Nothing of a test clip is seen before its model is finished."""
    started = time.perf_counter()
    inputs = bench.inputs(system.takes, cell.features)
    parts = _parts(bench, cell.split, protocol)
    repeats = protocol.repeats if system.seeded and cell.split == "speakers" else 1
    rows = repeats if cell.split == "speakers" else len(parts)
    predictions = np.full((rows, len(bench.y)), -1, np.int64)
    after = np.full((len(AFTER_SECONDS), len(bench.y)), -1, np.int64)
    in_calls = np.full((len(UTTERANCES_HEARD), len(bench.y)), -1, np.int64)
    trainings: list[Training] = []
    chosen: list[Chosen] = []
    for part, (train, test) in enumerate(parts):
        choice = _search(bench, system, inputs, train, protocol)
        chosen.append(Chosen(part=part, **_public(choice)))
        for repeat in range(repeats):
            seed = protocol.seed + repeat
            before = time.perf_counter()
            model = system.fit(inputs, train, bench.y, choice.config, seed)
            fit_seconds = time.perf_counter() - before
            predicted = model.predict(inputs, test)
            predictions[repeat if cell.split == "speakers" else part, test] = predicted
            trainings.append(
                Training(
                    part=part,
                    seed=seed,
                    uar=mean_recall(bench.y[test], predicted),
                    accuracy=float((predicted == bench.y[test]).mean()),
                    fit_seconds=round(fit_seconds, 3),
                    parameters=model.parameters,
                )
            )
            if cell.split == "speakers" and repeat == 0:
                for k, early in _predict_early(bench, system, cell.features, model, test):
                    after[k, test] = early
                if isinstance(model, Remembering):
                    for k, calls in enumerate(bench.calls(test, seed)):
                        if calls:
                            in_calls[k, [call[-1] for call in calls]] = model.predict_in_calls(inputs, calls)
    known = [row for row in after if (row >= 0).all()]
    return CellResult(
        cell=cell,
        trainings=trainings,
        chosen=chosen,
        predictions=predictions.tolist(),
        after=[row.tolist() for row in known],
        in_calls=in_calls.tolist() if (in_calls >= 0).any() else [],
        seconds=round(time.perf_counter() - started, 2),
    )


def _parts(bench: Bench, split: SplitName, protocol: Protocol) -> list[tuple[Rows, Rows]]:
    if split == "speakers":
        return bench.folds
    return [bench.random_split(protocol.seed + k) for k in range(protocol.random_splits)]


def _search(bench: Bench, system: System, inputs: Any, train: Rows, protocol: Protocol) -> Choice:
    # Inner speakers under the random split too: the two figures then differ by the outer split alone.
    inner = inner_splits(train, bench.groups, protocol.inner_folds, protocol.seed)
    if system.takes == "vectors":
        return choose(system, inputs, inner, bench.y, protocol.trials, protocol.seed)
    # One inner fold for networks: they cost a hundred times what a linear model does.
    return choose(system, inputs, inner[:1], bench.y, protocol.network_trials, protocol.seed)


def _public(choice: Choice) -> dict[str, Any]:
    config = {name: _rounded(value) for name, value in choice.config.items()}
    inner = None if choice.inner_uar is None else round(choice.inner_uar, 4)
    return {"config": config, "inner_uar": inner, "trials": choice.trials}


def _rounded(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _predict_early(
    bench: Bench, system: System, features: str, model: Any, test: Rows
) -> Iterator[tuple[int, Labels | NDArray[np.int64]]]:
    """Predictions after each of AFTER_SECONDS; none where the features are of whole clips only (eGeMAPS)."""
    for k in range(len(AFTER_SECONDS)):
        inputs = bench.inputs(system.takes, features, after=k)
        if inputs is None:
            return
        yield k, model.predict(inputs, test)

"""How often the model is right on labelled files, run through the engine that workers run: one by one, or in calls."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from undertone.analysis.manifest import Labelled, read_calls, read_manifest
from undertone.analysis.metrics import accuracy, class_scores, confusion_matrix, ece, macro_f1, uar
from undertone.analysis.prediction import AFTER_S, Also, Band, Prediction, predict_calls
from undertone.inference.model import Model

# In calls, figures by how many of the speaker's utterances had been heard before: none, three to nine, ten and more.
UTTERANCES_HEARD = (0, 3, 10)
_HEARD = [str(least) for least in UTTERANCES_HEARD]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result. `labels` are the model's labels that the manifest has; all figures are over these alone."""

    n: int
    labels: list[str]
    uar: float
    accuracy: float
    macro_f1: float
    ece: float
    confusion_matrix: list[list[int]]
    uar_after_s: dict[str, float]
    per_class: dict[str, dict[str, float]]
    uar_by_speaker: dict[str, float]
    band: str
    model_version: str
    class_prior: dict[str, float]
    masked_labels: list[str]
    unknown_labels: dict[str, int]
    without_speech: int
    unreadable: dict[str, str]
    after_utterances: dict[str, tuple[int, float]]
    calls: int | None = None  # None: files one by one

    def to_json(self) -> dict[str, Any]:
        """The result as JSON has it."""
        figures = asdict(self)
        groups = figures.pop("after_utterances")
        if self.calls is not None:
            figures["uar_after_utterances"] = {heard: groups[heard][1] if heard in groups else None for heard in _HEARD}
            figures["n_after_utterances"] = {heard: groups[heard][0] if heard in groups else 0 for heard in _HEARD}
        return figures


@dataclass(frozen=True, slots=True)
class _Predicted:
    """A file that counts, and how many files with speech its call had before it."""

    row: Labelled
    prediction: Prediction
    heard: int


def evaluate(
    manifest: Path,
    model: Model,
    band: Band = Band.CLEAN,
    progress: Callable[[int, int], None] | None = None,
    *,
    calls: bool = False,
    also: Also | None = None,
) -> Evaluation:
    """Predict every file of a manifest whose label the model knows, and compare.

    A file's prediction is that of its summary. Labels that the manifest lacks are masked: their probability is given to
    the others in proportion. A file without speech gets equal probabilities. An unreadable file is left out and
    named in the result.

    Args:
        progress: called with (files done, files in all).
        calls: hear the files of each call one after the other as one stream; those without a label that the model
            knows are heard and not counted.
        also: as `predict_calls` has it.

    Raises:
        UserError: the manifest is unusable, no label of it is known to the model, or no file could be read.
    """
    groups, rows = _groups(manifest, model, calls=calls)
    if not any(row.emotion in model.card.labels for row in rows):
        raise UserError(f"{manifest}: the model knows none of its labels; it knows {', '.join(model.card.labels)}")
    predicted: dict[int, list[_Predicted]] = {}
    unreadable: dict[str, str] = {}
    done, total = 0, sum(map(len, groups))
    for number, predictions in predict_calls([[row.path for row in group] for group in groups], model, band, also):
        predicted[number] = _known(groups[number], predictions, model, unreadable)
        done += len(predictions)
        if progress:
            progress(done, total)
    in_order = [one for number in sorted(predicted) for one in predicted[number]]
    if not in_order:
        first = min(unreadable.values())
        raise UserError(f"{manifest}: none of its {total} files could be read; the first: {first}")
    unknown = Counter(row.emotion for row in rows if row.emotion and row.emotion not in model.card.labels)
    labels = [label for label in model.card.labels if any(row.emotion == label for row in rows)]
    result = _score(in_order, labels, model, band, dict(sorted(unknown.items())), dict(sorted(unreadable.items())))
    return replace(result, calls=len(groups)) if calls else result


def _groups(manifest: Path, model: Model, *, calls: bool) -> tuple[list[tuple[Labelled, ...]], list[Labelled]]:
    """The files that are heard as one stream each, and all rows of the manifest."""
    if calls:
        groups = [call.rows for call in read_calls(manifest)]
        return groups, [row for group in groups for row in group]
    rows = read_manifest(manifest)
    return [(row,) for row in rows if row.emotion in model.card.labels], rows


def _known(
    rows: Sequence[Labelled], predictions: Sequence[Prediction | UserError], model: Model, unreadable: dict[str, str]
) -> list[_Predicted]:
    """The files of a call that count, each with how many of it had been heard before."""
    found, heard = [], 0
    for row, prediction in zip(rows, predictions, strict=True):
        if isinstance(prediction, UserError):
            unreadable[str(row.path)] = str(prediction)
            continue
        if row.emotion in model.card.labels:
            found.append(_Predicted(row, prediction, heard))
        heard += prediction.final is not None
    return found


def _score(
    predicted: Sequence[_Predicted],
    labels: list[str],
    model: Model,
    band: Band,
    unknown: dict[str, int],
    unreadable: dict[str, str],
) -> Evaluation:
    columns = np.array([model.card.labels.index(label) for label in labels])
    truth = np.array([labels.index(one.row.emotion) for one in predicted])
    final = masked([one.prediction.final for one in predicted], columns)
    guesses = final.argmax(axis=1)
    matrix = confusion_matrix(truth, guesses, len(labels))
    scores = class_scores(matrix)
    after = [
        masked([one.prediction.after[i] for one in predicted], columns).argmax(axis=1) for i in range(len(AFTER_S))
    ]
    return Evaluation(
        n=len(predicted),
        labels=labels,
        uar=uar(matrix),
        accuracy=accuracy(matrix),
        macro_f1=macro_f1(matrix),
        ece=ece(truth, final),
        confusion_matrix=matrix.tolist(),
        uar_after_s={
            f"{seconds:g}": uar(confusion_matrix(truth, guesses, len(labels)))
            for seconds, guesses in zip(AFTER_S, after, strict=True)
        },
        per_class={
            label: {
                "precision": float(scores.precision[i]),
                "recall": float(scores.recall[i]),
                "f1": float(scores.f1[i]),
                "n": int(scores.support[i]),
            }
            for i, label in enumerate(labels)
        },
        uar_by_speaker=_by_speaker([one.row.speaker for one in predicted], truth, guesses, len(labels)),
        band=band.value,
        model_version=model.card.version,
        class_prior=model.class_prior,
        masked_labels=[label for label in model.card.labels if label not in labels],
        unknown_labels=unknown,
        without_speech=sum(one.prediction.final is None for one in predicted),
        unreadable=unreadable,
        after_utterances=after_utterances(truth, guesses, np.array([one.heard for one in predicted]), len(labels)),
    )


def heard_before() -> Iterator[tuple[int, float]]:
    """From and below how many utterances of the call: none, 3 to 9, 10 and more."""
    return zip(UTTERANCES_HEARD, (1, UTTERANCES_HEARD[-1], np.inf), strict=True)


def after_utterances(
    truth: NDArray[np.int_], guesses: NDArray[np.int_], heard: NDArray[np.int_], classes: int
) -> dict[str, tuple[int, float]]:
    """(files, UAR) by how many utterances of the call had been heard before: none, 3 to 9, 10 and more.

    Args:
        heard: int [n], utterances of its call before each file. Files that had one or two before are in no group.
    """
    groups: dict[str, tuple[int, float]] = {}
    for least, below in heard_before():
        some = (heard >= least) & (heard < below)
        if some.any():
            groups[str(least)] = int(some.sum()), uar(confusion_matrix(truth[some], guesses[some], classes))
    return groups


def masked(predictions: Sequence[NDArray[np.float64] | None], columns: NDArray[np.int_]) -> NDArray[np.float64]:
    """Probabilities over `columns` of the model's labels alone: float64 [n, len(columns)], rows add up to 1.

    A row without speech (None), or without any probability in these columns, becomes uniform.
    """
    matrix = np.array([np.zeros(len(columns)) if one is None else one[columns] for one in predictions])
    totals = matrix.sum(axis=1, keepdims=True)
    uniform = np.full_like(matrix, 1 / len(columns))
    return np.divide(matrix, totals, out=uniform, where=totals > 0)


def _by_speaker(
    speakers: Sequence[str], truth: NDArray[np.int_], guesses: NDArray[np.int_], classes: int
) -> dict[str, float]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, speaker in enumerate(speakers):
        places[speaker].append(place)
    return {
        speaker: uar(confusion_matrix(truth[index], guesses[index], classes))
        for speaker, index in sorted(places.items())
    }

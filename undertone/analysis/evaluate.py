"""How often the model is right on labelled files, run through the engine that workers run."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from undertone.analysis.manifest import Labelled, read_manifest
from undertone.analysis.metrics import accuracy, class_scores, confusion_matrix, ece, macro_f1, uar
from undertone.analysis.prediction import AFTER_S, Band, Prediction, predict_files
from undertone.inference.model import Model


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
    masked_labels: list[str]
    unknown_labels: dict[str, int]
    without_speech: int
    unreadable: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return asdict(self)


def evaluate(
    manifest: Path, model: Model, band: Band = Band.CLEAN, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """Predict every file of a manifest whose label the model knows, and compare.

    A file's prediction is that of its summary. Labels that the manifest lacks are masked: their probability is given to
    the others in proportion. A file without speech gets equal probabilities. An unreadable file is left out and
    named in the result.

    Args:
        progress: called with (files done, files in all).

    Raises:
        UserError: the manifest is unusable, no label of it is known to the model, or no file could be read.
    """
    rows = read_manifest(manifest)
    known = [row for row in rows if row.emotion in model.card.labels]
    if not known:
        raise UserError(f"{manifest}: the model knows none of its labels; it knows {', '.join(model.card.labels)}")
    predictions: dict[int, Prediction] = {}
    unreadable: dict[str, str] = {}
    for done, (index, prediction) in enumerate(predict_files([row.path for row in known], model, band), start=1):
        if isinstance(prediction, UserError):
            unreadable[str(known[index].path)] = str(prediction)
        else:
            predictions[index] = prediction
        if progress:
            progress(done, len(known))
    if not predictions:
        first = min(unreadable.values())
        raise UserError(f"{manifest}: none of its {len(known)} files could be read; the first: {first}")
    predicted = [(known[index], predictions[index]) for index in sorted(predictions)]
    unknown = Counter(row.emotion for row in rows if row.emotion not in model.card.labels)
    labels = [label for label in model.card.labels if any(row.emotion == label for row in known)]
    return _score(predicted, labels, model, band, dict(sorted(unknown.items())), dict(sorted(unreadable.items())))


def _score(
    predicted: Sequence[tuple[Labelled, Prediction]],
    labels: list[str],
    model: Model,
    band: Band,
    unknown: dict[str, int],
    unreadable: dict[str, str],
) -> Evaluation:
    columns = np.array([model.card.labels.index(label) for label in labels])
    truth = np.array([labels.index(row.emotion) for row, _ in predicted])
    final = masked([prediction.final for _, prediction in predicted], columns)
    matrix = confusion_matrix(truth, final.argmax(axis=1), len(labels))
    scores = class_scores(matrix)
    after = [
        masked([prediction.after[i] for _, prediction in predicted], columns).argmax(axis=1)
        for i in range(len(AFTER_S))
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
        uar_by_speaker=_by_speaker([row.speaker for row, _ in predicted], truth, final.argmax(axis=1), len(labels)),
        band=band.value,
        model_version=model.card.version,
        masked_labels=[label for label in model.card.labels if label not in labels],
        unknown_labels=unknown,
        without_speech=sum(prediction.final is None for _, prediction in predicted),
        unreadable=unreadable,
    )


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

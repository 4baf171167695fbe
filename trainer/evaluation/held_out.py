"""The exported bundle on held-out speakers: through the worker's own engine, under several conditions."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from trainer.evaluation.disturbed import on_bad_lines, write_with_babble
from undertone.analysis import metrics
from undertone.analysis.evaluate import masked
from undertone.analysis.prediction import AFTER_S, Band, Prediction, predict_files
from undertone.inference.class_prior import UNIFORM
from undertone.inference.model import Model

NOISE_DB = (20, 10, 0)
# Noise is one question of several; more clips would tell no more and double the time.
_MOST_NOISY = 300

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOutResult:
    """Predictions for n files under one condition.

    truth: [n] class numbers. probabilities: [n, C] at the end of each file, over the classes of the file's corpus.
    after: the same after so many seconds of speech.
    """

    truth: NDArray[np.int64]
    probabilities: Floats
    after: dict[float, Floats]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """The most probable class of each file [n]."""
        return self.probabilities.argmax(axis=1)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Confusion matrix [C, C], rows are the truth."""
        return metrics.confusion_matrix(self.truth, self.predictions, self.probabilities.shape[1])

    @property
    def uar(self) -> float:
        """Unweighted average recall."""
        return metrics.uar(self.matrix)

    def uar_after(self, seconds: float) -> float:
        """UAR after so much speech."""
        predictions = self.after[seconds].argmax(axis=1)
        return metrics.uar(metrics.confusion_matrix(self.truth, predictions, self.probabilities.shape[1]))

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """The figures that `undertone evaluate --json` gives, under the same names."""
        scores = metrics.class_scores(self.matrix)
        return {
            "n": len(self.truth),
            "labels": list(labels),
            "uar": self.uar,
            "accuracy": metrics.accuracy(self.matrix),
            "macro_f1": metrics.macro_f1(self.matrix),
            "ece": metrics.ece(self.truth, self.probabilities),
            "confusion_matrix": self.matrix.tolist(),
            "uar_after_s": {f"{seconds:g}": self.uar_after(seconds) for seconds in self.after},
            "per_class": {
                label: {
                    "precision": float(scores.precision[k]),
                    "recall": float(scores.recall[k]),
                    "f1": float(scores.f1[k]),
                    "n": int(scores.support[k]),
                }
                for k, label in enumerate(labels)
            },
        }


def evaluate_files(
    paths: Sequence[Path], truth: NDArray[np.int64], allowed: NDArray[np.floating], model: Model, band: Band
) -> HeldOutResult:
    """Run files through the engine, expecting every label equally often: that is what UAR asks for.

    Args:
        allowed: [n, C] 0/1, the classes that each file's corpus knows; the others' probability goes to these.

    Raises:
        UserError: a file that could be read for training can no longer be read.
    """
    predictions: dict[int, Prediction] = {}
    for index, prediction in predict_files(paths, model.with_prior(UNIFORM), band):
        if isinstance(prediction, UserError):
            raise prediction
        predictions[index] = prediction
    rows = [predictions[index] for index in range(len(paths))]
    return HeldOutResult(
        truth,
        known_classes([row.final for row in rows], allowed),
        {seconds: known_classes([row.after[k] for row in rows], allowed) for k, seconds in enumerate(AFTER_S)},
    )


def evaluate_conditions(
    paths: Sequence[Path],
    truth: NDArray[np.int64],
    allowed: NDArray[np.floating],
    model: Model,
    talkers: Sequence[Path],
    seed: int,
    on_condition: Callable[[str], None] | None = None,
) -> dict[str, HeldOutResult]:
    """The same files clean, by telephone, under the babble of `talkers` at 20, 10 and 0 dB, and on bad lines."""
    done: dict[str, HeldOutResult] = {}
    say = on_condition or (lambda _: None)
    for band in Band:
        say(band.value)
        done[band.value] = evaluate_files(paths, truth, allowed, model, band)
    some = np.sort(np.random.default_rng(seed).permutation(len(paths))[:_MOST_NOISY])
    for snr_db in NOISE_DB:
        say(f"noise {snr_db} dB")
        with tempfile.TemporaryDirectory(prefix="undertone-") as folder:
            noisy = write_with_babble([paths[k] for k in some], talkers, snr_db, seed, Path(folder))
            done[f"noise {snr_db} dB"] = evaluate_files(noisy, truth[some], allowed[some], model, Band.CLEAN)
    for name, files in on_bad_lines([paths[k] for k in some], talkers, seed):
        say(name)
        done[name] = evaluate_files(files, truth[some], allowed[some], model, Band.CLEAN)
    return done


def join_results(parts: Sequence[HeldOutResult]) -> HeldOutResult:
    """Results of several networks, each tested on speakers of its own, as one."""
    return HeldOutResult(
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        {seconds: np.concatenate([part.after[seconds] for part in parts]) for seconds in AFTER_S},
    )


def known_classes(predictions: Sequence[Floats | None], allowed: NDArray[np.floating]) -> Floats:
    """Probabilities with those of unknown classes given to the others; uniform where no speech was found."""
    rows = []
    for prediction, known in zip(predictions, allowed, strict=True):
        row = np.zeros(len(known))
        columns = np.flatnonzero(known)
        row[columns] = masked([prediction], columns)[0]
        rows.append(row)
    return np.array(rows)

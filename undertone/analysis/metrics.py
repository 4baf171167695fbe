"""Metrics of a classifier, in NumPy alone. Classes are numbers below C; rows of a confusion matrix are the truth.

A class that never occurs in the truth has no recall: it is left out of the means, as scikit-learn's balanced
accuracy does, so that a corpus without "calm" is not marked down for it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Precision, recall, F1 and support of each class, float64 [C]; 0 where there is nothing to divide by."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts int64 [classes, classes]: row = true class, column = predicted class.

    Raises:
        ValueError: the two differ in length, or hold a class that is not in 0 to `classes` - 1.
    """
    rows, columns = np.asarray(truth, np.int64).ravel(), np.asarray(predicted, np.int64).ravel()
    if rows.shape != columns.shape:
        raise ValueError(f"{rows.size} true classes, {columns.size} predicted ones")
    if rows.size and (min(rows.min(), columns.min()) < 0 or max(rows.max(), columns.max()) >= classes):
        raise ValueError(f"classes must lie within 0 and {classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes * classes).reshape(classes, classes)


def class_scores(matrix: ArrayLike) -> ClassScores:
    """Scores of each class from a confusion matrix [C, C]."""
    counts = np.asarray(matrix, np.int64)
    hits, support, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return ClassScores(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + predicted),
        support=support,
    )


def accuracy(matrix: ArrayLike) -> float:
    """Share of right predictions, from a confusion matrix [C, C]; NaN without predictions."""
    counts = np.asarray(matrix, np.int64)
    return float(counts.trace() / counts.sum()) if counts.any() else float("nan")


def uar(matrix: ArrayLike) -> float:
    """Unweighted average recall (balanced accuracy) over the classes that occur in the truth; NaN without any."""
    scores = class_scores(matrix)
    return _mean(scores.recall[scores.support > 0])


def macro_f1(matrix: ArrayLike) -> float:
    """Unweighted mean of F1 over the classes that occur in truth or prediction; NaN without any."""
    counts = np.asarray(matrix, np.int64)
    return _mean(class_scores(counts).f1[(counts.sum(axis=0) + counts.sum(axis=1)) > 0])


def ece(truth: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the most probable class, in `bins` equal bins (Guo et al. 2017, eq. 3).

    Args:
        truth: true classes [n].
        probabilities: float [n, C], each row adds up to 1.

    Returns:
        Mean distance between confidence and accuracy, weighted by the bins' counts: 0 to 1; NaN without rows.
    """
    gaps = calibration_bins(truth, probabilities, bins)
    if not gaps.count.sum():
        return float("nan")
    return float((gaps.count * np.abs(gaps.confidence - gaps.accuracy)).sum() / gaps.count.sum())


@dataclass(frozen=True, slots=True)
class CalibrationBins:
    """What a reliability diagram draws: count, mean confidence and accuracy of each bin [bins]; 0 where empty."""

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def calibration_bins(truth: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> CalibrationBins:
    """Answers by the confidence of the most probable class; bin b holds (b / bins, (b + 1) / bins]."""
    matrix = np.asarray(probabilities, np.float64)
    if not matrix.size:
        return CalibrationBins(np.zeros(bins, np.int64), np.zeros(bins), np.zeros(bins))
    top = matrix.max(axis=1)
    right = (matrix.argmax(axis=1) == np.asarray(truth)).astype(np.float64)
    place = np.clip(np.ceil(top * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    return CalibrationBins(
        count=count,
        confidence=_ratio(np.bincount(place, top, bins), count),
        accuracy=_ratio(np.bincount(place, right, bins), count),
    )


def _ratio(over: NDArray, under: NDArray) -> NDArray[np.float64]:
    return np.divide(over, under, out=np.zeros(len(over), np.float64), where=under > 0)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")

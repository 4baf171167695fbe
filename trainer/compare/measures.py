"""From predictions to figures: UAR by fold, repeat, speaker, gender and intensity, and how sure each figure is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from undertone.analysis.metrics import confusion_matrix, uar

RESAMPLES = 1000


def mean_recall(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """UAR over the classes that occur in `truth`."""
    return uar(confusion_matrix(truth, predicted, int(max(truth.max(), predicted.max())) + 1))


def confusion_of(truth: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [C, C] over all runs: `predictions` [runs, n], -1 where a run did not test a clip."""
    tested = predictions >= 0
    return confusion_matrix(np.broadcast_to(truth, predictions.shape)[tested], predictions[tested], classes)


def uar_by(
    truth: NDArray[np.int64], predictions: NDArray[np.int64], classes: int, names: Sequence[str]
) -> dict[str, float]:
    """UAR within each group of clips (speakers, genders, ...); clips without a name belong to none."""
    of = np.asarray(names)
    return {
        str(name): uar(confusion_of(truth[of == name], predictions[:, of == name], classes))
        for name in np.unique(of)
        if name and (predictions[:, of == name] >= 0).any()
    }


def speaker_confusions(
    truth: NDArray[np.int64], predictions: NDArray[np.int64], classes: int, groups: NDArray[np.str_]
) -> NDArray[np.int64]:
    """One confusion matrix for each speaker: [speakers, C, C]."""
    return np.stack(
        [confusion_of(truth[groups == who], predictions[:, groups == who], classes) for who in np.unique(groups)]
    )


def resampled_uars(by_speaker: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """UARs [1000] with the speakers drawn anew, with replacement.

    The same seed draws the same speakers for two systems, so their difference can be taken draw by draw.
    A class that none of the drawn speakers shows is left out of that draw's mean.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(by_speaker), size=(RESAMPLES, len(by_speaker)))
    counts = by_speaker[drawn].sum(axis=1)
    support = counts.sum(axis=2)
    recall = np.divide(
        counts.diagonal(axis1=1, axis2=2), support, out=np.full(support.shape, np.nan), where=support > 0
    )
    return np.nanmean(recall, axis=1)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95% of `values`."""
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def hardest_pairs(matrix: NDArray[np.int64], labels: Sequence[str], count: int = 5) -> list[tuple[str, str, float]]:
    """Pairs of classes that are taken for each other: the mean of the two shares that cross over, highest first."""
    support = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    share = matrix / support
    pairs = [
        (labels[i], labels[j], float((share[i, j] + share[j, i]) / 2))
        for i in range(len(labels))
        for j in range(i + 1, len(labels))
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:count]

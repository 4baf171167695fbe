"""Labels that look wrong: what people said, against what the other calls' labels would make of the same sound.

A logistic regression on what the starting network makes of each clip, and on statistics of its spectrum, learns from
four fifths of the labelled calls and predicts the rest, five times over. So no prediction has seen its own label, nor
another of its call. Confident learning (Northcutt et al. 2021, cleanlab) then tells which labels do not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.data.clips import Clips

_FOLDS = 5
# Of some hundreds of labels and as many features; 0.1 and 1 found no more of the labels that were swapped on purpose.
_REGULARISATION = 0.01
# Fewer labels say little of one another.
FEWEST, FEWEST_CALLS = 20, 4
# More than a person looks through; where emotions are hard to tell, cleanlab doubts a third of all.
MOST = 50


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that looks wrong: its row, what it looks like instead, and how probable each of the two is."""

    row: int
    looks_like: str
    said_probability: float
    other_probability: float


@dataclass(frozen=True, slots=True)
class Noise:
    """The labels that look wrong, the worst first; how many could be judged; how often prediction and label agree.

    found: how many look wrong in all, of which the list has at most 50.
    """

    doubts: tuple[Doubt, ...]
    found: int
    judged: int
    agreement: float


def find_noise(features: NDArray[np.floating], said: Sequence[str], calls: Sequence[str]) -> Noise | None:
    """Which labels look wrong; None where there are too few to tell.

    Args:
        features: [n, D], a row for each label.
        said: the emotion of each.
        calls: the call of each, or who speaks.
    """
    if len(said) < FEWEST or len(set(calls)) < FEWEST_CALLS:
        return None
    emotions, truth = np.unique(np.array(said), return_inverse=True)
    probabilities = _predicted(features, truth, calls, len(emotions))
    # What only one call is labelled with has nothing to be held against.
    judged = np.flatnonzero(~np.isnan(probabilities).any(axis=1))
    emotions_judged = np.unique(truth[judged])
    if len(emotions_judged) < 2 or len(judged) < FEWEST:
        return None
    narrowed = probabilities[np.ix_(judged, emotions_judged)]
    narrowed /= narrowed.sum(axis=1, keepdims=True)
    labels = np.searchsorted(emotions_judged, truth[judged])
    suspects = find_label_issues(labels, narrowed, filter_by="both", n_jobs=1)
    quality = get_label_quality_scores(labels, narrowed, method="normalized_margin")
    order = sorted(np.flatnonzero(suspects), key=lambda k: quality[k])
    guesses = narrowed.argmax(axis=1)
    doubts = [
        Doubt(
            int(judged[k]),
            str(emotions[emotions_judged[guesses[k]]]),
            float(narrowed[k, labels[k]]),
            float(narrowed[k, guesses[k]]),
        )
        for k in order[:MOST]
    ]
    return Noise(tuple(doubts), len(order), len(judged), float((guesses == labels).mean()))


def spectra(clips: Clips) -> NDArray[np.float32]:
    """[N, 3 bands]: mean, deviation and mean step of each band over a clip's speech."""
    rows = []
    for features, speech in zip(clips.features, clips.speech, strict=True):
        spoken = np.asarray(features, np.float32)[speech]
        steps = np.abs(np.diff(spoken, axis=0, prepend=spoken[:1]))
        rows.append(np.concatenate([spoken.mean(axis=0), spoken.std(axis=0), steps.mean(axis=0)]))
    return np.array(rows, np.float32)


def _predicted(
    features: NDArray[np.floating], truth: NDArray[np.intp], calls: Sequence[str], emotions: int
) -> NDArray[np.float64]:
    """Probabilities [n, emotions] by who has not heard the call; NaN where the rest of the calls lacks the emotion."""
    found = np.full((len(truth), emotions), np.nan)
    folds = StratifiedGroupKFold(_FOLDS if len(set(calls)) >= _FOLDS else FEWEST_CALLS, shuffle=True, random_state=0)
    for learn, predict in folds.split(features, truth, calls):
        known = np.unique(truth[learn])
        rows = predict[np.isin(truth[predict], known)]
        if len(known) < 2 or not len(rows):
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(C=_REGULARISATION, max_iter=1000))
        model.fit(features[learn], truth[learn])
        found[rows] = 0.0
        found[np.ix_(rows, known)] = model.predict_proba(features[rows])
    return found

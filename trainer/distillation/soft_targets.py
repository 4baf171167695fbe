"""Distillation: a teacher's embeddings of each clip become soft targets and hints for the student.

The teacher is a linear probe on embeddings (teacher.py). Its predictions for a clip come from a probe that has not
seen the clip's speaker; a probe's predictions on its own training clips are labels over again and teach nothing.
Hints are the embeddings themselves, reduced to their main axes: far more per clip than one label in eight, and
known for speech of any corpus, labels or none. Frame hints are the same for every step of a clip: forty times as
many, and nothing that a network could learn by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HINTS = 128  # axes kept of 3072
FRAME_HINTS = 96  # axes kept of 1152; they hold 55% of the variance
PROBE_C = 1e-3  # 3e-4 gave 0.732 where this gave 0.749, on held-out actors


@dataclass(frozen=True)
class HintMap:
    """Embeddings [N, E] -> hints [N, HINTS] of about unit variance."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    axes: NDArray[np.float32]  # [E, HINTS]

    def __call__(self, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        hints = (np.asarray(embeddings, np.float32) - self.mean) * self.scale @ self.axes
        return np.asarray(np.clip(hints, -4.0, 4.0), np.float32)


def fit_hints(embeddings: NDArray[np.floating], seed: int = 0) -> HintMap:
    """Main axes of these embeddings, of training speakers only.

    The axes are scaled by the square root of what would make all equal: emotion lies in small variances too,
    but the last axes are mostly noise.
    """
    scaler = StandardScaler().fit(np.asarray(embeddings, np.float32))
    pca = PCA(HINTS, svd_solver="randomized", random_state=seed).fit(scaler.transform(embeddings))
    spread = np.sqrt(pca.explained_variance_)
    axes = pca.components_.T / np.sqrt(spread * spread.mean())
    return HintMap(*(np.asarray(a, np.float32) for a in (scaler.mean_, 1.0 / scaler.scale_, axes)))


@dataclass(frozen=True)
class FrameMap:
    """The teacher's frames [T, D] -> frame hints [T, FRAME_HINTS] of about unit variance.

    `expected` [P, D] is the mean by position in the clip, which the encoder adds to its input; its last row
    stands for all later ones.
    """

    expected: NDArray[np.float32]
    scale: NDArray[np.float32]
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    def __call__(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        expected = self.expected[np.minimum(np.arange(len(frames)), len(self.expected) - 1)]
        hints = ((frames - expected) * self.scale - self.mean) @ self.axes
        return np.asarray(np.clip(hints, -6.0, 6.0), np.float32)


def fit_frame_map(clips: Sequence[NDArray[np.floating]], seed: int = 0) -> FrameMap:
    """Main axes of these clips' frames, [T, D] each, of training speakers only."""
    longest = max(map(len, clips))
    total, count = np.zeros((longest, clips[0].shape[1])), np.zeros((longest, 1))
    for clip in clips:
        total[: len(clip)] += clip
        count[: len(clip)] += 1
    overall = total.sum(0) / count.sum()
    # Late positions occur in few clips: they lean on the overall mean, as twenty clips weigh.
    expected = np.concatenate([(total + 20 * overall) / (count + 20), overall[None]])
    rest = np.concatenate([clip - expected[: len(clip)] for clip in clips])
    scale = 1.0 / rest.std(axis=0)
    pca = PCA(FRAME_HINTS, svd_solver="randomized", random_state=seed).fit(rest * scale)
    spread = np.sqrt(pca.explained_variance_)
    axes = pca.components_.T / np.sqrt(spread * spread.mean())
    return FrameMap(*(np.asarray(a, np.float32) for a in (expected, scale, pca.mean_, axes)))


def soft_targets(
    embeddings: NDArray[np.floating],
    labels: NDArray[np.integer],
    speakers: NDArray[np.str_] | NDArray[np.integer],
    n_classes: int,
    splits: int = 5,
) -> NDArray[np.float32]:
    """Probabilities [N, n_classes] for each clip, from probes that were not trained on its speaker."""
    predictions = np.zeros((len(labels), n_classes), np.float32)
    splits = min(splits, len(np.unique(speakers)))
    for train, rest in GroupKFold(splits).split(embeddings, labels, speakers):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=PROBE_C, max_iter=200))
        probe.fit(embeddings[train], labels[train])
        predictions[np.ix_(rest, probe.classes_)] = probe.predict_proba(embeddings[rest])
    return predictions


def blend(targets: NDArray[np.float32], soft: NDArray[np.float32], share: float = 0.5) -> NDArray[np.float32]:
    """Labels and the teacher's predictions, mixed: [N, n_classes], rows add up to 1."""
    return np.asarray((1.0 - share) * targets + share * soft, np.float32)

"""What is familiar to a network: the clips on which its temperature is found, and as far from them as they are apart.

A temperature makes probabilities right for people like those on whom it was found. Of voices, rooms and languages that
are unlike theirs a network is as sure, and wrong more often. How far they are shows in what lies before its last layer,
and the farther, the more the temperature is raised.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Clips
from trainer.training.calibration import MIN_CLIPS
from trainer.training.embedding import embed
from trainer.training.layers import NOVELTY_AXES

# Three clips in four of those on whom the temperature is found are as near as this, and their probabilities untouched.
_USUAL_SHARE = 0.75
# An axis rests on as many clips at least, else it is theirs alone and others are far by comparison.
_CLIPS_AN_AXIS = 8

Floats = NDArray[np.float64]
Names = NDArray[np.str_]


def fit_novelty(model: keras.Model, clips: Clips, groups: Sequence[str], corpora: Sequence[str]) -> None:
    """Write into the network what is familiar: clips like these. Before its temperature is found, on the same ones.

    Args:
        clips: better of people whom it was not trained on; fewer than 16 say nothing, and nothing is novel then.
        groups: [N], whom each clip counts as.
        corpora: [N], of which corpus it is. Each counts as much as any other: of 1,139 clips of RAVDESS beside 6,539 of
            CREMA-D four in five were novel.
    """
    spoken = np.array([bool(found) for found in clips.segments])
    if spoken.sum() < MIN_CLIPS:
        return
    speakers, names = np.asarray(groups)[spoken], np.asarray(corpora)[spoken]
    for layers, found in zip(model.undertone_members, embed(model, clips)[spoken].swapaxes(0, 1), strict=True):
        embeddings = found.astype(np.float64)
        mean, axes = _subspace(embeddings, names)
        layers.novelty.mean.assign(mean)
        layers.novelty.axes.assign(np.pad(axes, ((0, NOVELTY_AXES - len(axes)), (0, 0))))
        layers.novelty.usual.assign([_usual(embeddings, speakers, names)])


def _usual(embeddings: Floats, speakers: Names, corpora: Names) -> float:
    """How far clips are from axes that were found without their speaker: each half from those of the other.

    Of the corpus whose clips lie farthest.
    """
    half = np.isin(speakers, np.unique(speakers)[::2])
    if half.all():
        half = np.arange(len(half)) % 2 == 0
    distances = np.empty(len(embeddings))
    for there in (half, ~half):
        distances[there] = _distances(embeddings[there], *_subspace(embeddings[~there], corpora[~there]))
    return max(float(np.quantile(distances[corpora == name], _USUAL_SHARE)) for name in np.unique(corpora))


def _subspace(embeddings: Floats, corpora: Names) -> tuple[Floats, Floats]:
    """Mean [D] and main axes [at most 16, D]."""
    _, which, counts = np.unique(corpora, return_inverse=True, return_counts=True)
    weights = (1 / counts)[which][:, None]
    mean = (weights * embeddings).sum(axis=0) / weights.sum()
    _, _, axes = np.linalg.svd(np.sqrt(weights) * (embeddings - mean), full_matrices=False)
    return mean, axes[: min(NOVELTY_AXES, len(embeddings) // _CLIPS_AN_AXIS)]


def _distances(embeddings: Floats, mean: Floats, axes: Floats) -> Floats:
    off = embeddings - mean
    return np.sqrt(np.square(off - off @ axes.T @ axes).mean(axis=1))

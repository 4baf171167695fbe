"""Labelled clips in memory, as training and evaluation take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from schemas.card import FRAMES_PER_STEP
from trainer.data.preprocessing import Preprocessing
from trainer.data.speech import SegmentSteps, hang_over, segments


@dataclass(frozen=True)
class Clips:
    """N utterances and what is known of them. Lists hold one array per clip, of F frames each.

    features: [F, n_mels] float16 or float32, raw log-mel of the whole, untrimmed clip.
    level_db: [F] float32, dBFS of each hop, as the gate measures it.
    raw: [F] bool, the frames above the gate's threshold.
    targets: [N, C] float32, one-hot or soft; rows sum to 1.
    allowed: [N, C] float32 0/1, the classes that the clip's corpus knows; the others are masked in the loss.
    weights: [N] float32, how often a clip is drawn, relative to the others.
    preprocessing: what made the features, and what cuts the clips into utterances.
    hints: [N, H] float32 or None, a teacher's embedding of the clip; learned beside the targets (distillation/).
    frame_hints: one [F / 4, K] float16 per clip or None, the same for each step; NaN where the teacher has none.
    """

    features: Sequence[NDArray[np.floating]]
    level_db: Sequence[NDArray[np.float32]]
    raw: Sequence[NDArray[np.bool_]]
    targets: NDArray[np.float32]
    allowed: NDArray[np.float32]
    weights: NDArray[np.float32]
    preprocessing: Preprocessing
    hints: NDArray[np.float32] | None = None
    frame_hints: Sequence[NDArray[np.floating]] | None = None

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def speech(self) -> list[NDArray[np.bool_]]:
        """The gate's mask of each clip, hang-over included."""
        return [hang_over(raw, self.preprocessing.gate) for raw in self.raw]

    @cached_property
    def segments(self) -> list[list[SegmentSteps]]:
        """The utterances of each clip."""
        how = self.preprocessing
        return [segments(raw, how.gate, how.segments) for raw in self.raw]

    def subset(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Clips:
        """The clips at these positions, or where the mask is true."""
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        return Clips(
            [self.features[i] for i in index],
            [self.level_db[i] for i in index],
            [self.raw[i] for i in index],
            self.targets[index],
            self.allowed[index],
            self.weights[index],
            self.preprocessing,
            None if self.hints is None else self.hints[index],
            None if self.frame_hints is None else [self.frame_hints[i] for i in index],
        )


def concatenate(parts: Sequence[Clips]) -> Clips:
    """All clips of all parts, in order. Hints are kept where every part has them.

    Raises:
        ValueError: the parts were made by different preprocessing.
    """
    if any(part.preprocessing != parts[0].preprocessing for part in parts):
        raise ValueError("clips of different preprocessing cannot be put together")
    hints = [part.hints for part in parts if part.hints is not None]
    frame_hints = [part.frame_hints for part in parts if part.frame_hints is not None]
    return Clips(
        [x for part in parts for x in part.features],
        [x for part in parts for x in part.level_db],
        [x for part in parts for x in part.raw],
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.allowed for part in parts]),
        np.concatenate([part.weights for part in parts]),
        parts[0].preprocessing,
        np.concatenate(hints) if len(hints) == len(parts) else None,
        [x for part in frame_hints for x in part] if len(frame_hints) == len(parts) else None,
    )


def one_hot(labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float32]:
    """Class numbers [N] -> targets [N, n_classes]."""
    targets = np.zeros((len(labels), n_classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1.0
    return targets


def pad_batch(
    windows: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.float32]], context: int, steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Windows [context + 4 s, n_mels] with masks [s] -> features [B, context + 4 S, n_mels], speech [B, S].

    Short windows are repeated, masked, and not followed by silence: batch normalisation sees the padding too, and
    silence, six standard deviations from speech, would rule its statistics.
    """
    frames = context + FRAMES_PER_STEP * steps
    features = np.stack([np.resize(window, (frames, window.shape[1])) for window in windows])
    speech = np.zeros((len(windows), steps), np.float32)
    for row, mask in enumerate(masks):
        speech[row, : len(mask)] = mask
    return features, speech


def window(features: NDArray[np.floating], start: int, end: int, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Frames [4 start - context, 4 end) of a clip as float32; silence stands before its first frame."""
    first = FRAMES_PER_STEP * start - preprocessing.front_end.context_frames
    out = np.asarray(features[max(first, 0) : FRAMES_PER_STEP * end], np.float32)
    if first < 0:
        out = np.concatenate([np.full((-first, features.shape[1]), preprocessing.silence, np.float32), out])
    return out

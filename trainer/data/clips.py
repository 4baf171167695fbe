"""Labelled clips in memory, as training and evaluation take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.card import FRAMES_PER_STEP

SILENCE = float(np.log(1e-10))  # log-mel of digital silence: what stands before a stream's first frame

# Hops without speech that end a segment: 600 ms since the last raw speech hop, of which the hang-over hides 20.
SEGMENT_GAP = 28
# A segment of less than 200 ms of raw speech is a click: 16 frames and the hang-over.
SHORTEST_SEGMENT = 16 + 20


@dataclass(frozen=True)
class Clips:
    """N utterances and what is known of them. Lists hold one array per clip, of F frames each.

    features: [F, n_mels] float16 or float32, raw log-mel of the whole, untrimmed clip.
    level_db: [F] float32, dBFS of each hop, as the gate measures it.
    speech: [F] bool, the gate's answer (hang-over included).
    targets: [N, C] float32, one-hot or soft; rows sum to 1.
    allowed: [N, C] float32 0/1, the classes that the clip's corpus knows; the others are masked in the loss.
    weights: [N] float32, how often a clip is drawn, relative to the others.
    hints: [N, H] float32 or None, what a teacher heard in the clip; learned beside the targets (distill.py).
    frame_hints: one [F / 4, K] float16 per clip or None, what it heard in each step; NaN where it did not listen.
    """

    features: Sequence[NDArray[np.floating]]
    level_db: Sequence[NDArray[np.float32]]
    speech: Sequence[NDArray[np.bool_]]
    targets: NDArray[np.float32]
    allowed: NDArray[np.float32]
    weights: NDArray[np.float32]
    hints: NDArray[np.float32] | None = None
    frame_hints: Sequence[NDArray[np.floating]] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def subset(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Clips:
        """The clips at these positions, or where the mask is true."""
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        return Clips(
            [self.features[i] for i in index],
            [self.level_db[i] for i in index],
            [self.speech[i] for i in index],
            self.targets[index],
            self.allowed[index],
            self.weights[index],
            None if self.hints is None else self.hints[index],
            None if self.frame_hints is None else [self.frame_hints[i] for i in index],
        )


def concatenate(parts: Sequence[Clips]) -> Clips:
    """All clips of all parts, in order. Hints are kept where every part has them."""
    hints = [part.hints for part in parts if part.hints is not None]
    frame_hints = [part.frame_hints for part in parts if part.frame_hints is not None]
    return Clips(
        [x for part in parts for x in part.features],
        [x for part in parts for x in part.level_db],
        [x for part in parts for x in part.speech],
        np.concatenate([part.targets for part in parts]),
        np.concatenate([part.allowed for part in parts]),
        np.concatenate([part.weights for part in parts]),
        np.concatenate(hints) if len(hints) == len(parts) else None,
        [x for part in frame_hints for x in part] if len(frame_hints) == len(parts) else None,
    )


def one_hot(labels: NDArray[np.integer], n_classes: int) -> NDArray[np.float32]:
    """Class numbers [N] -> targets [N, n_classes]."""
    targets = np.zeros((len(labels), n_classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1.0
    return targets


def step_mask(speech: NDArray[np.bool_]) -> NDArray[np.float32]:
    """[F] frames -> [F / 4] steps: a step is speech where any of its frames is. F is a multiple of 4."""
    return np.asarray(speech.reshape(-1, FRAMES_PER_STEP).any(axis=1), np.float32)


def segments(speech: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Segments [start, end) in steps, as the engine cuts them (but for its 20 s limit, which no clip reaches).

    A clip without any speech is one segment without speech, so that each clip has an answer.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]]).astype(np.int8)))
    runs: list[list[int]] = []
    for start, end in edges.reshape(-1, 2):
        if runs and start - runs[-1][1] < SEGMENT_GAP:
            runs[-1][1] = end
        else:
            runs.append([start, end])
    kept = [run for run in runs if run[1] - run[0] >= SHORTEST_SEGMENT] or runs[:1] or [[0, FRAMES_PER_STEP]]
    return [(start // FRAMES_PER_STEP, -(-end // FRAMES_PER_STEP)) for start, end in kept]


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


def window(features: NDArray[np.floating], start: int, end: int, context: int) -> NDArray[np.float32]:
    """Frames [4 start - context, 4 end) of a clip as float32; silence stands before its first frame."""
    first = FRAMES_PER_STEP * start - context
    out = np.asarray(features[max(first, 0) : FRAMES_PER_STEP * end], np.float32)
    if first < 0:
        out = np.concatenate([np.full((-first, features.shape[1]), SILENCE, np.float32), out])
    return out

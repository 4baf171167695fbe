"""Batches of augmented clips for training, each epoch drawn anew."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.card import FRAMES_PER_STEP, STEPS_PER_SECOND
from trainer.data.clips import Clips, pad_batch
from trainer.data.speech import step_mask
from trainer.training.augmentation import Augmenter, Noises
from trainer.training.network import NetworkShape
from trainer.training.recipe import Recipe

# Some batches keep up to 0.9 s of what surrounds the speech: under noise the gate is open there as well.
MARGIN_SHARE = 0.2
MARGIN_FRAMES = 72
HINT_DELAY = 1  # steps: the student guesses the hint of what ended 50 ms ago, since its teacher saw what followed


class Batches:
    """Augmented batches, one epoch after another, each drawn anew from one seeded generator.

    A batch is inputs, truths and step weights, the latter two with a second entry where the clips have hints for
    each step: features [B, context + 4 S, n_mels] and speech [B, S]; targets, allowed classes and hints in one
    [B, 1, 2 C + H], and frame hints [B, S, K]; weights [B, S] that add up to 1.
    """

    def __init__(self, clips: Clips, shape: NetworkShape, recipe: Recipe, noises: Noises, seed: int) -> None:
        self.clips, self.shape, self.recipe = clips, shape, recipe
        self.rng = np.random.default_rng(seed)
        self.augment = Augmenter(recipe.augmentation, noises, clips.preprocessing, seed + 1, clips.features)
        self.lengths = np.array([speech.sum() for speech in clips.speech])
        self.draws = recipe.clips_per_epoch or len(clips)
        self.frame_hints = clips.frame_hints if recipe.frame_hint_share else None
        self.shuffle()

    def __len__(self) -> int:
        return max(1, self.draws // self.recipe.batch)

    def shuffle(self) -> None:
        """Draw the next epoch: by weight, without repeats where the weights are equal; like lengths together."""
        share = self.clips.weights / self.clips.weights.sum() * self.draws
        times = np.floor(share + self.rng.random(len(share))).astype(int)
        order = self.rng.permutation(np.repeat(np.arange(len(share)), times))
        order = np.resize(order, len(self) * self.recipe.batch)
        # Sorted within pools of eight batches: half the padding, and batches still differ from epoch to epoch.
        pools = np.array_split(order, range(8 * self.recipe.batch, len(order), 8 * self.recipe.batch))
        order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        self.batches = self.rng.permutation(order.reshape(len(self), self.recipe.batch))

    def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
        rows = self.batches[index]
        margin = MARGIN_FRAMES if self.rng.random() < MARGIN_SHARE else 1
        cuts = [self._clip(row, margin) for row in rows]
        steps = max(len(mask) for _, mask, _ in cuts)
        steps += -steps % 4  # fewer shapes for the framework to plan for
        features, speech = pad_batch([w for w, _, _ in cuts], [m for _, m, _ in cuts], self.shape.context_frames, steps)
        allowed = self.clips.allowed[rows]
        smoothing = self.recipe.label_smoothing
        targets = (1 - smoothing) * self.clips.targets[rows] + smoothing * allowed / allowed.sum(1, keepdims=True)
        hints = self.clips.hints[rows] if self.clips.hints is not None else targets[:, :0]
        features, targets, allowed, hints = self._mix(features, targets, allowed, hints)
        truth = np.concatenate([targets, allowed, hints], axis=1)[:, None, :]
        if self.frame_hints is None:
            return (features, speech), [truth], [self._step_weights(speech)]
        frames, hinted = _by_step([self.frame_hints[row] for row in rows], [source for _, _, source in cuts], speech)
        return (features, speech), [truth, frames], [self._step_weights(speech), hinted]

    def _clip(self, row: int, margin: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        clips, context = self.clips, self.shape.context_frames
        spoken = np.flatnonzero(clips.speech[row])
        first, last = (spoken[0], spoken[-1] + 1) if len(spoken) else (0, FRAMES_PER_STEP)
        # No segment of a live stream is longer than the card's bound either.
        longest_s = min(self.recipe.longest_s, clips.preprocessing.segments.max_seconds)
        longest = int(longest_s * STEPS_PER_SECOND * FRAMES_PER_STEP)
        if last - first > longest:
            first = first + self.rng.integers(last - first - longest + 1)
            last = first + longest
        first, last = first - self.rng.integers(margin), last + self.rng.integers(margin)
        # The front of the window moves by up to one step: a live stream's blocks fall anywhere on the speech.
        first = max(first - context - self.rng.integers(FRAMES_PER_STEP), 0)
        features, speech, source = self.augment(
            np.asarray(clips.features[row][first:last], np.float32),
            clips.level_db[row][first:last],
            clips.speech[row][first:last],
        )
        steps = max((len(features) - context) // FRAMES_PER_STEP, 1)
        end = context + FRAMES_PER_STEP * steps
        mask = speech[context:end]
        mask = np.pad(mask, (0, FRAMES_PER_STEP * steps - len(mask)))
        return features[:end], step_mask(mask), first + source[context:end:FRAMES_PER_STEP]

    def _mix(self, features: Any, targets: Any, allowed: Any, hints: Any) -> tuple[Any, Any, Any, Any]:
        """Mixup of log-mel frames; each row keeps its own mask and the larger share."""
        count = len(features)
        share = np.where(self.rng.random(count) < self.recipe.mixup, self.rng.uniform(0, 0.5, count), 0.0)
        share = share.astype(np.float32)
        partner = self.rng.permutation(count)
        features = features + share[:, None, None] * (features[partner] - features)
        targets = targets + share[:, None] * (targets[partner] - targets)
        hints = hints + share[:, None] * (hints[partner] - hints)
        return features, targets, np.where(share[:, None] > 0, np.maximum(allowed, allowed[partner]), allowed), hints

    def _step_weights(self, speech: NDArray[np.float32]) -> NDArray[np.float32]:
        so_far = np.cumsum(speech, axis=1)
        prefix = speech * (so_far >= self.recipe.prefix_from_s * STEPS_PER_SECOND)
        weights = self.recipe.prefix_share * prefix / np.maximum(prefix.sum(1, keepdims=True), 1.0)
        weights[:, -1] += 1.0 - weights.sum(axis=1)
        return (weights / len(speech)).astype(np.float32)


def _by_step(
    of_clips: list[NDArray[np.floating]], sources: list[NDArray[np.int64]], speech: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The frame hints of each step [B, S, K], and weights [B, S] that add up to 1, 0 where there are none.

    sources: for each clip, the frame of the recording that each step begins with.
    """
    hints = np.full((*speech.shape, of_clips[0].shape[1]), np.nan, np.float32)
    for row, source in enumerate(sources):
        step = source // FRAMES_PER_STEP - HINT_DELAY
        known = (step >= 0) & (step < len(of_clips[row]))
        hints[row, : len(step)][known] = of_clips[row][step[known]]
    hinted = speech * np.isfinite(hints[..., 0])
    return np.nan_to_num(hints), np.asarray(hinted / max(float(hinted.sum()), 1.0), np.float32)

"""Training: clips in, a trained sequence model out. The same call pretrains, fine-tunes and distils.

    result = fit(train, valid, spec, Recipe(epochs=30), seed=1, init=pretrained_weights, noises=noises)

What differs between those is only the clips, the recipe and the weights to start from. Same clips, recipe and
seed give the same weights on the same machine and TensorFlow build; other processors round differently, and
after thirty epochs figures differ by what two seeds differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from trainer.augment import Augmentation, Augmenter, Noises
from trainer.clips import Clips, pad_batch, segments, step_mask, window
from trainer.network import (
    FRAMES_PER_STEP,
    NetworkSpec,
    build_sequence_model,
    restore_weights,
    set_normalisation,
)

STEPS_PER_SECOND = 20
# Some batches keep up to 0.9 s of what surrounds the speech: under noise the gate is open there as well.
MARGIN_SHARE = 0.2
MARGIN_FRAMES = 72
Weights = dict[str, NDArray[np.float32]]


class Recipe(BaseModel):
    """How to train. The defaults are the shipped model's (docs/experiments.md says what each is worth)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=30, ge=1, le=1000)
    clips_per_epoch: int | None = Field(default=None, description="Draws an epoch; None: as many as there are.")
    batch: int = Field(default=16, ge=2, le=512)
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.02
    warmup: float = Field(default=0.1, description="Share of all steps over which the learning rate rises.")
    ema: float = Field(default=0.98, description="Decay of the averaged weights that the result holds; 0: none.")
    label_smoothing: float = 0.0
    hint_share: float = Field(default=0.5, description="Weight of the teacher's hints, where the clips have them.")
    mixup: float = Field(default=0.0, description="Share of clips that are mixed with another.")
    prefix_share: float = Field(default=0.3, description="Share of the loss on what was heard before the end.")
    prefix_from_s: float = Field(default=0.4, description="Seconds of speech from which prefixes count.")
    longest_s: float = Field(default=3.0, description="Longer clips are cut to a random stretch of this length.")
    freeze_trunk: bool = Field(default=False, description="Train the head alone: for a handful of clips a class.")
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch; uar is over validation clips and None where there are none."""

    epoch: int
    loss: float
    valid_uar: float | None


@dataclass(frozen=True)
class FitResult:
    """A trained sequence model (averaged weights) and its history."""

    model: keras.Model
    history: list[Epoch]


class _PrefixLoss(keras.losses.Loss):
    """Cross-entropy at each step over the classes that the clip's corpus knows, and the error of the hints.

    y_true [B, 1, 2 C + H]: targets, allowed classes, hints; y_pred [B, S, C + H]: logits and guessed hints. The
    step weights come as sample_weight [B, S] and add up to 1 over a batch.
    """

    def __init__(self, classes: int, hint_share: float) -> None:
        super().__init__(reduction="sum")
        self.classes, self.hint_share = classes, hint_share

    def call(self, y_true: Any, y_pred: Any) -> Any:
        classes = self.classes
        targets, allowed, hints = y_true[..., :classes], y_true[..., classes : 2 * classes], y_true[..., 2 * classes :]
        log_p = ops.log_softmax(y_pred[..., :classes] - 1e4 * (1.0 - allowed), axis=-1)
        loss = -ops.sum(targets * log_p, axis=-1)
        if self.hint_share:
            loss = loss + self.hint_share * ops.mean(ops.square(y_pred[..., classes:] - hints), axis=-1)
        return loss


class _Batches:
    """Augmented batches, one epoch after another, each drawn anew from one seeded generator."""

    def __init__(self, clips: Clips, spec: NetworkSpec, recipe: Recipe, noises: Noises, seed: int) -> None:
        self.clips, self.spec, self.recipe = clips, spec, recipe
        self.rng = np.random.default_rng(seed)
        self.augment = Augmenter(recipe.augmentation, noises, spec.n_mels, seed + 1)
        self.lengths = np.array([speech.sum() for speech in clips.speech])
        self.draws = recipe.clips_per_epoch or len(clips)
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
        pairs = [self._clip(row, margin) for row in rows]
        steps = max(len(mask) for _, mask in pairs)
        steps += -steps % 4  # fewer shapes for the framework to plan for
        features, speech = pad_batch([w for w, _ in pairs], [m for _, m in pairs], self.spec.context_frames, steps)
        allowed = self.clips.allowed[rows]
        smoothing = self.recipe.label_smoothing
        targets = (1 - smoothing) * self.clips.targets[rows] + smoothing * allowed / allowed.sum(1, keepdims=True)
        hints = self.clips.hints[rows] if self.clips.hints is not None else targets[:, :0]
        features, targets, allowed, hints = self._mix(features, targets, allowed, hints)
        truth = np.concatenate([targets, allowed, hints], axis=1)[:, None, :]
        return (features, speech), truth, self._step_weights(speech)

    def _clip(self, row: int, margin: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        clips, context = self.clips, self.spec.context_frames
        spoken = np.flatnonzero(clips.speech[row])
        first, last = (spoken[0], spoken[-1] + 1) if len(spoken) else (0, FRAMES_PER_STEP)
        longest = int(self.recipe.longest_s * STEPS_PER_SECOND * FRAMES_PER_STEP)
        if last - first > longest:
            first = first + self.rng.integers(last - first - longest + 1)
            last = first + longest
        first, last = first - self.rng.integers(margin), last + self.rng.integers(margin)
        # The front of the window moves by up to one step: a live stream's blocks fall anywhere on the speech.
        first = max(first - context - self.rng.integers(FRAMES_PER_STEP), 0)
        features, speech = self.augment(
            np.asarray(clips.features[row][first:last], np.float32),
            clips.level_db[row][first:last],
            clips.speech[row][first:last],
        )
        steps = max((len(features) - context) // FRAMES_PER_STEP, 1)
        end = context + FRAMES_PER_STEP * steps
        mask = speech[context:end]
        return features[:end], step_mask(np.pad(mask, (0, FRAMES_PER_STEP * steps - len(mask))))

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
        heard = np.cumsum(speech, axis=1)
        prefix = speech * (heard >= self.recipe.prefix_from_s * STEPS_PER_SECOND)
        weights = self.recipe.prefix_share * prefix / np.maximum(prefix.sum(1, keepdims=True), 1.0)
        weights[:, -1] += 1.0 - weights.sum(axis=1)
        return (weights / len(speech)).astype(np.float32)


def band_statistics(clips: Clips) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation per band, [n_mels] each, over the speech frames of these clips."""
    count, total, squares = 0, 0.0, 0.0
    for features, speech in zip(clips.features, clips.speech, strict=True):
        spoken = np.asarray(features, np.float64)[speech]
        count, total, squares = count + len(spoken), total + spoken.sum(0), squares + (spoken**2).sum(0)
    mean = total / max(count, 1)
    std = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 1e-6))
    return np.asarray(mean, np.float32), np.asarray(std, np.float32)


def fit(
    train: Clips,
    valid: Clips | None,
    spec: NetworkSpec,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    init: Weights | None = None,
    noises: Noises = (),
    patience: int | None = None,
) -> FitResult:
    """Train a network on clips.

    valid is for reporting, unless patience is given: then training ends after that many epochs without a better
    validation UAR, with the weights of the best epoch. With init, all weights that
    it has for this spec are taken over, the normalisation among them; a head for other classes starts anew.
    """
    keras.utils.set_random_seed(seed)
    model = build_sequence_model(spec)
    if init is None:
        set_normalisation(model, *band_statistics(train))
    else:
        same_head = init["head/bias"].shape == (spec.n_classes,)
        restore_weights(model, init, skip=() if same_head else ("head",))
    if recipe.freeze_trunk:
        for layer in model.layers:
            layer.trainable = layer.name.endswith("head")
    batches = _Batches(train, spec, recipe, noises, seed)
    hints = recipe.hint_share if train.hints is not None else 0.0
    student = _with_hints(model, train.hints.shape[1]) if train.hints is not None else model
    loss = _PrefixLoss(spec.n_classes, hints)
    student.compile(optimizer=_optimizer(recipe, len(batches)), loss=loss, jit_compile=False)
    history: list[Epoch] = []
    best = (-1.0, 0, model.get_weights())
    for epoch in range(1, recipe.epochs + 1):
        losses = [float(student.train_on_batch(*batches[index])) for index in range(len(batches))]
        batches.shuffle()
        uar = None if valid is None else uar_of(predict(model, valid)[0], valid)
        history.append(Epoch(epoch, float(np.mean(losses)), uar))
        if on_epoch:
            on_epoch(history[-1])
        if uar is not None and uar > best[0]:
            best = (uar, epoch, model.get_weights())
        if patience is not None and epoch - best[1] >= patience:
            break
    if len(history) < recipe.epochs:
        model.set_weights(best[2])
    elif recipe.ema:
        student.optimizer.finalize_variable_values(student.trainable_variables)
    return FitResult(model, history)


def _with_hints(model: keras.Model, width: int) -> keras.Model:
    """The model with a second head that guesses the hints from the same pooled statistics; not shipped."""
    guess = keras.layers.Dense(width, name="hints")(model.get_layer("pool").output)
    return keras.Model(model.inputs, ops.concatenate([model.output, guess], axis=-1), name="student")


def _optimizer(recipe: Recipe, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    steps = recipe.epochs * steps_per_epoch
    warmup = int(recipe.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20,
        decay_steps=max(steps - warmup, 1),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=recipe.weight_decay,
        clipnorm=1.0,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def predict(
    model: keras.Model, clips: Clips, seconds: tuple[float, ...] = (), batch: int = 64
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Probabilities of whole, untrimmed clips behind the gate, as the engine's summary gives them.

    Returns [N, C] and, for each of `seconds` of speech heard, [N, C] after that much of the first segment.
    Segments start from a zero state; a clip's answer is the mean of their log-probabilities, weighted by steps.
    """
    context, n_classes = model.undertone_spec.context_frames, model.undertone_spec.n_classes
    rows = [(i, *cut) for i, speech in enumerate(clips.speech) for cut in segments(speech)]
    rows.sort(key=lambda row: row[2] - row[1])
    mean = np.zeros((len(clips), n_classes))
    mass = np.zeros((len(clips), 1))
    heard = [np.zeros((len(clips), n_classes), np.float32) for _ in seconds]
    started = np.full(len(clips), np.iinfo(np.int64).max)
    for part, features, speech in _segment_batches(clips, rows, batch, context):
        log_p = np.asarray(ops.log_softmax(model([features, speech], training=False), axis=-1))
        counts = np.cumsum(speech, axis=1)
        for row, (clip, start, _) in enumerate(part):
            mean[clip] += log_p[row, -1] * max(counts[row, -1], 1.0)
            mass[clip] += max(counts[row, -1], 1.0)
            if start < started[clip]:
                started[clip] = start
                for k, second in enumerate(seconds):
                    at = int(np.searchsorted(counts[row], second * STEPS_PER_SECOND))
                    heard[k][clip] = np.exp(log_p[row, min(at, len(counts[row]) - 1)])
    mean = np.exp(mean / mass)
    return (mean / mean.sum(1, keepdims=True)).astype(np.float32), heard


def _segment_batches(
    clips: Clips, rows: list[tuple[int, int, int]], batch: int, context: int
) -> Iterator[tuple[list[tuple[int, int, int]], NDArray[np.float32], NDArray[np.float32]]]:
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        windows = [window(clips.features[clip], start, end, context) for clip, start, end in part]
        masks = [step_mask(clips.speech[clip])[start:end] for clip, start, end in part]
        yield part, *pad_batch(windows, masks, context, max(map(len, masks)))


def uar_of(probabilities: NDArray[np.float32], clips: Clips) -> float:
    """Unweighted average recall over the classes that occur; classes unknown to a clip's corpus are masked."""
    truth = clips.targets.argmax(1)
    answer = (probabilities * clips.allowed).argmax(1)
    return float(np.mean([np.mean(answer[truth == label] == label) for label in np.unique(truth)]))

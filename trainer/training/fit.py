"""Training: clips in, a trained sequence model out. The same call pretrains, fine-tunes and distils.

    result = fit(train, valid, shape, Recipe(epochs=30), seed=1, init=pretrained_weights, noises=noises)

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

from schemas.card import STEPS_PER_SECOND
from trainer.data.clips import Clips, pad_batch, window
from trainer.data.speech import SegmentSteps
from trainer.training.augmentation import Noises
from trainer.training.batches import Batches
from trainer.training.network import (
    NetworkShape,
    build_sequence_model,
    restore_weights,
    set_normalisation,
)
from trainer.training.recipe import Recipe

Weights = dict[str, NDArray[np.float32]]


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


class _FrameLoss(keras.losses.Loss):
    """Squared error of the guessed hints [B, S, K], times `share`; sample_weight [B, S] adds up to 1 over a batch."""

    def __init__(self, share: float) -> None:
        super().__init__(reduction="sum")
        self.share = share

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.share * ops.mean(ops.square(y_pred - y_true), axis=-1)


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
        if hints.shape[-1]:
            loss = loss + self.hint_share * ops.mean(ops.square(y_pred[..., classes:] - hints), axis=-1)
        return loss


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
    shape: NetworkShape,
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
    it has for this shape are taken over, the normalisation among them; a head for other classes starts anew.
    """
    keras.utils.set_random_seed(seed)
    model = build_sequence_model(shape)
    if init is None:
        set_normalisation(model, *band_statistics(train))
    else:
        # What was familiar to the network before is not what will be.
        same_head = init["head/bias"].shape == (shape.n_classes,)
        restore_weights(model, init, skip=("novelty",) if same_head else ("novelty", "head"))
    batches = Batches(train, shape, recipe, noises, seed)
    student, losses_of = _student(model, batches)
    student.compile(optimizer=_optimizer(recipe, len(batches)), loss=losses_of, jit_compile=False)
    history: list[Epoch] = []
    best = (-1.0, 0, model.get_weights())
    for epoch in range(1, recipe.epochs + 1):
        losses = [float(np.ravel(student.train_on_batch(*batches[index]))[0]) for index in range(len(batches))]
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


def _student(model: keras.Model, batches: Batches) -> tuple[keras.Model, list[keras.losses.Loss]]:
    """The model with heads that guess the teacher's hints, of the clip and of each step; not shipped."""
    hints, recipe = batches.clips.hints, batches.recipe
    outputs = [model.output]
    losses: list[keras.losses.Loss] = [_PrefixLoss(batches.shape.n_classes, recipe.hint_share)]
    if hints is not None:
        guess = keras.layers.Dense(hints.shape[1], name="hints")(model.get_layer("pool").output)
        outputs = [ops.concatenate([model.output, guess], axis=-1)]
    if batches.frame_hints is not None:
        width = batches.frame_hints[0].shape[1]
        outputs.append(keras.layers.Dense(width, name="frame_hints")(model.get_layer("residual_norm").output))
        losses.append(_FrameLoss(recipe.frame_hint_share))
    return keras.Model(model.inputs, outputs, name="student"), losses


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

    Returns [N, C] and, for each of `seconds` of speech, [N, C] after that much of the first segment.
    Segments start from a zero state; a clip's prediction is the mean of their log-probabilities, weighted by steps.
    """
    n_classes = model.undertone_shape.n_classes
    rows = [(clip, segment) for clip, found in enumerate(clips.segments) for segment in found]
    rows.sort(key=lambda row: len(row[1].mask))
    mean = np.zeros((len(clips), n_classes))
    mass = np.zeros((len(clips), 1))
    early = [np.zeros((len(clips), n_classes), np.float32) for _ in seconds]
    started = np.full(len(clips), np.iinfo(np.int64).max)
    for part, features, speech in segment_batches(clips, rows, batch):
        log_p = np.asarray(ops.log_softmax(model([features, speech], training=False), axis=-1))
        counts = np.cumsum(speech, axis=1)
        for row, (clip, segment) in enumerate(part):
            mean[clip] += log_p[row, -1] * max(counts[row, -1], 1.0)
            mass[clip] += max(counts[row, -1], 1.0)
            if segment.start < started[clip]:
                started[clip] = segment.start
                for k, second in enumerate(seconds):
                    at = int(np.searchsorted(counts[row], second * STEPS_PER_SECOND))
                    early[k][clip] = np.exp(log_p[row, min(at, len(counts[row]) - 1)])
    mean = np.exp(mean / mass)
    return (mean / mean.sum(1, keepdims=True)).astype(np.float32), early


def segment_batches(
    clips: Clips, rows: list[tuple[int, SegmentSteps]], batch: int = 64
) -> Iterator[tuple[list[tuple[int, SegmentSteps]], NDArray[np.float32], NDArray[np.float32]]]:
    """Segments of clips as the network takes them: each batch's rows, features and speech."""
    how = clips.preprocessing
    for begin in range(0, len(rows), batch):
        part = rows[begin : begin + batch]
        windows = [window(clips.features[clip], segment.start, segment.end, how) for clip, segment in part]
        masks = [segment.mask for _, segment in part]
        yield part, *pad_batch(windows, masks, how.front_end.context_frames, max(map(len, masks)))


def uar_of(probabilities: NDArray[np.float32], clips: Clips) -> float:
    """Unweighted average recall over the classes that occur; classes unknown to a clip's corpus are masked."""
    truth = clips.targets.argmax(1)
    predicted = (probabilities * clips.allowed).argmax(1)
    return float(np.mean([np.mean(predicted[truth == label] == label) for label in np.unique(truth)]))

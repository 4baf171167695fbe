"""The network's own layers, in operations that TFLite's fast kernels have: a block is then one piece for XNNPACK."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from schemas.card import STEPS_PER_BLOCK

NOVELTY_AXES = 16
SCORE_BOUND = 5.0  # attention weights stay within exp(-5)..exp(5), so that running sums keep float32's digits


@keras.saving.register_keras_serializable("undertone")
class Standardise(keras.layers.Layer):
    """(features - mean) / std per band; the constants are weights that training sets and never trains."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.mean = self.add_weight(name="mean", shape=(shape[-1],), initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones", trainable=False)

    def call(self, features: Any) -> Any:
        return (features - self.mean) * self.scale


@keras.saving.register_keras_serializable("undertone")
class AttentionSums(keras.layers.Layer):
    """Per step: attention weight, weighted values and weighted squares, ready to be summed over time.

    Input [B, S, D] and speech mask [B, S]; output [B, S, heads + 2 D]. Each head weighs its own D / heads
    channels. Sums, not means: they are the whole state of the pooling, and adding is all that a block does.
    """

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.score = keras.layers.Dense(heads, name="score")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.score.build(shape)

    def call(self, values: Any, speech: Any) -> Any:
        bounded = SCORE_BOUND * ops.tanh(self.score(values) / SCORE_BOUND)
        weight = ops.exp(bounded) * ops.expand_dims(speech, -1)
        values = _by_head(values, self.heads)
        weighted = ops.expand_dims(weight, -1) * values
        return ops.concatenate([weight, _side_by_side(weighted), _side_by_side(weighted * values)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("undertone")
class PooledStatistics(keras.layers.Layer):
    """Sums [..., heads + 2 D] -> attended mean and standard deviation [..., 2 D]; zeros before any speech."""

    def __init__(self, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads

    def call(self, sums: Any) -> Any:
        width = (sums.shape[-1] - self.heads) // 2
        mass = ops.expand_dims(sums[..., : self.heads], -1) + 1e-6
        mean = _by_head(sums[..., self.heads : self.heads + width], self.heads) / mass
        square = _by_head(sums[..., self.heads + width :], self.heads) / mass
        deviation = ops.sqrt(ops.relu(square - mean * mean) + 1e-4)
        return ops.concatenate([_side_by_side(mean), _side_by_side(deviation)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable("undertone")
class Novelty(keras.layers.Layer):
    """How far a clip is from those on which the network was calibrated, and so by how much its logits are too large.

    Pooled statistics [..., 2 D] -> divisor [..., 1]: 1 for whatever is familiar, else (distance / usual)^1.5. The
    distance is the residual of Wang et al. 2022, "ViM: Out-of-Distribution with Virtual-logit Matching": what main axes
    through the mean leave. The constants are weights that `novelty.py` sets and training does not; until then all is 1.
    """

    def build(self, shape: tuple[int | None, ...]) -> None:
        width = shape[-1]
        self.mean = self.add_weight(name="mean", shape=(width,), initializer="zeros", trainable=False)
        self.axes = self.add_weight(name="axes", shape=(NOVELTY_AXES, width), initializer="zeros", trainable=False)
        far = keras.initializers.Constant(1e6)
        self.usual = self.add_weight(name="usual", shape=(1,), initializer=far, trainable=False)

    def call(self, pooled: Any) -> Any:
        off = pooled - self.mean
        # Not |off|^2 less what lies along the axes: in eight bits the difference of two large numbers is mostly error.
        residual = off - ops.matmul(ops.matmul(off, ops.transpose(self.axes)), self.axes)
        times = ops.mean(ops.square(residual), axis=-1, keepdims=True) / ops.square(self.usual)
        far = ops.sqrt(ops.maximum(times, 1.0))
        # far^1.5, without TFLite's POW. The power was chosen on four corpora that `open` has not heard (docs/research/
        # experiments.md, "Voices unlike those of the calibration"): from 1.3 to 1.75 all four are better off than
        # without, and of two that nothing was chosen on one is, and the mean.
        return far * ops.sqrt(far)


def _by_head(values: Any, heads: int) -> Any:
    """[..., D] -> [..., heads, D / heads]: what a head weighs is then multiplied by [..., heads, 1], without copies."""
    return ops.reshape(values, (*ops.shape(values)[:-1], heads, values.shape[-1] // heads))


def _side_by_side(by_head: Any) -> Any:
    """[..., heads, D / heads] -> [..., D]."""
    return ops.reshape(by_head, (*ops.shape(by_head)[:-2], by_head.shape[-2] * by_head.shape[-1]))


class UnrolledGRU(keras.layers.Layer):
    """A GRU's steps over one block, written out for TFLite, by the weights of the cell that it shares with the GRU.

    Input encoded [B, 5, D], speech mask [B, 5], hidden [B, D]; output [B, 5, D], the hidden state after each step. The
    formula is that of Keras' cell with `reset_after` (Cho et al. 2014, as cuDNN has it). The cell itself takes the
    products with its inputs step by step, and slices that drop an axis, which XNNPACK leaves to slower kernels: with
    those here, without copies and powers, a block is one piece for it. That is a quarter of the time of one stream,
    a sixth of 32.
    """

    def __init__(self, cell: keras.layers.GRUCell, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cell = cell

    def call(self, encoded: Any, speech: Any, hidden: Any) -> Any:
        width = hidden.shape[-1]
        from_inputs = ops.matmul(encoded, self.cell.kernel) + self.cell.bias[0]
        # Side by side, for a slice and no more at each step.
        from_inputs = ops.reshape(from_inputs, (-1, STEPS_PER_BLOCK * 3 * width))
        recalled = []
        for step in range(STEPS_PER_BLOCK):
            mask = speech[:, step : step + 1]
            given = from_inputs[:, 3 * width * step : 3 * width * (step + 1)]
            own = ops.matmul(hidden, self.cell.recurrent_kernel) + self.cell.bias[1]
            (update, reset, new), (own_update, own_reset, own_new) = ops.split(given, 3, -1), ops.split(own, 3, -1)
            keep = ops.sigmoid(update + own_update)
            new = ops.tanh(new + ops.sigmoid(reset + own_reset) * own_new)
            updated = keep * hidden + (1.0 - keep) * new
            # Not hidden + mask * (updated - hidden): that rounds, and this keeps a masked state to the bit.
            hidden = mask * updated + (1.0 - mask) * hidden
            recalled.append(hidden)
        return ops.reshape(ops.concatenate(recalled, axis=-1), (-1, STEPS_PER_BLOCK, width))

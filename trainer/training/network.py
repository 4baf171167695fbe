"""The network: causal convolutions, a GRU and running attention pooling, as a Keras 3 model.

A network is one such chain or the mean of several, its members: two small ones that were trained apart err in
different places. It has two faces. The sequence model sees whole clips and is what training uses; the block model
is the streaming signature that the bundle ships: one block of frames and one state vector in, logits and the next
state out. Both are built from the same layer objects, so they cannot drift apart.

Time is strided by 4: one step of the GRU (50 ms) for every four frames (12.5 ms). The convolutions carry no
state: each block brings `context_frames` frames of the past with it. Nothing here knows a label's name.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from pydantic import BaseModel, ConfigDict, Field

from schemas.card import FRAMES_PER_STEP, STEPS_PER_BLOCK
from trainer.training.layers import AttentionSums, Novelty, PooledStatistics, Standardise, UnrolledGRU

FRAMES_PER_BLOCK = FRAMES_PER_STEP * STEPS_PER_BLOCK

TIME_KERNELS = (3, 3, 2)  # any further convolution is one step long: more would need over 8 frames of context
TIME_STRIDES = (2, 2, 1)
# The receptive field of 11 frames, less one step.
CONTEXT_FRAMES = 1 + int(np.dot(np.subtract(TIME_KERNELS, 1), np.cumprod((1, *TIME_STRIDES[:-1])))) - FRAMES_PER_STEP


class NetworkShape(BaseModel):
    """Everything that shapes the network, as JSON beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_classes: int = Field(ge=2, le=64)
    n_mels: int = Field(default=64, ge=32, le=128)
    channels: tuple[int, ...] = Field(default=(24, 40, 64, 64), min_length=3, max_length=4)
    dense: int = Field(default=128, ge=16, le=256)
    heads: int = Field(default=4, ge=1, le=16)
    members: int = Field(default=1, ge=1, le=4)
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)

    @property
    def context_frames(self) -> int:
        """Frames before the block that its first step sees."""
        return CONTEXT_FRAMES

    @property
    def member_state(self) -> int:
        """Floats of one member: GRU, attention mass per head, weighted sums of values and of squares."""
        return 3 * self.dense + self.heads

    @property
    def state_size(self) -> int:
        """Floats in the state vector: the members' states, one after another."""
        return self.members * self.member_state


class _Layers:
    """One member's layers, which both faces share; made once per sequence model."""

    def __init__(self, shape: NetworkShape, prefix: str) -> None:
        self.shape, self.prefix = shape, prefix
        self.standardise = Standardise(name=prefix + "standardise")
        self.convolutions, self.norms = [], []
        for i, channels in enumerate(shape.channels):
            kernel = TIME_KERNELS[i] if i < len(TIME_KERNELS) else 1
            stride = TIME_STRIDES[i] if i < len(TIME_STRIDES) else 1
            self.convolutions.append(
                keras.layers.Conv2D(channels, (kernel, 3), (stride, 2), use_bias=False, name=f"{prefix}conv{i}")
            )
            self.norms.append(keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3, name=f"{prefix}norm{i}"))
        self.drop_encoder = keras.layers.Dropout(shape.dropout, name=prefix + "drop_encoder")
        self.project = keras.layers.Dense(shape.dense, activation="relu", name=prefix + "project")
        self.gru = keras.layers.GRU(shape.dense, return_sequences=True, name=prefix + "gru")
        self.unrolled = UnrolledGRU(self.gru.cell, name=prefix + "unrolled")
        self.residual_norm = keras.layers.LayerNormalization(epsilon=1e-3, name=prefix + "residual_norm")
        self.attend = AttentionSums(shape.heads, name=prefix + "attend")
        self.pool = PooledStatistics(shape.heads, name=prefix + "pool")
        self.drop_head = keras.layers.Dropout(shape.dropout, name=prefix + "drop_head")
        self.head = keras.layers.Dense(shape.n_classes, name=prefix + "head")
        self.novelty = Novelty(name=prefix + "novelty")

    def encode(self, features: Any) -> Any:
        """[B, context + 4 S, n_mels] -> [B, S, dense]."""
        x = ops.expand_dims(self.standardise(features), -1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = ops.relu(norm(convolution(x)))
        x = keras.layers.Reshape((-1 if x.shape[1] is None else x.shape[1], x.shape[2] * x.shape[3]))(x)
        return self.project(self.drop_encoder(x))

    def classify(self, sums: Any) -> Any:
        """Attention sums [..., heads + 2 dense] -> logits [..., n_classes]."""
        pooled = self.pool(sums)
        return self.head(self.drop_head(pooled)) / self.novelty(pooled)

    def over_clip(self, features: Any, speech: Any) -> Any:
        """Logits [B, S, n_classes] after each step of whole clips."""
        encoded = self.encode(features)
        recalled = self.gru(encoded, mask=ops.cast(speech, "bool"))
        sums = ops.cumsum(self.attend(self.residual_norm(encoded + recalled), speech), axis=1)
        return self.classify(sums)

    def over_block(self, features: Any, speech: Any, state: Any) -> tuple[Any, Any]:
        """Logits [B, n_classes] and state [B, member_state] after one block, the recurrence unrolled."""
        encoded = self.encode(features)
        hidden, sums = state[:, : self.shape.dense], state[:, self.shape.dense :]
        recalled = self.unrolled(encoded, speech, hidden)
        added = self.attend(self.residual_norm(encoded + recalled), speech)
        sums = sums + ops.sum(added, axis=1)
        hidden = ops.reshape(recalled[:, -1:], (-1, self.shape.dense))
        return self.classify(sums), ops.concatenate([hidden, sums], axis=-1)


def build_sequence_model(shape: NetworkShape) -> keras.Model:
    """The training face: whole clips, any length.

    Inputs: features [B, context_frames + 4 S, n_mels] float32 raw log-mel, whose first context_frames frames
    precede the first step; speech [B, S] float32 0/1. Output: logits [B, S, n_classes] after each step, the mean
    of the members'. Where a step is masked, and in the padding behind a clip, the logits repeat; the last step's
    are the clip's.
    """
    members = [_Layers(shape, _prefix(number)) for number in range(shape.members)]
    features = keras.Input((None, shape.n_mels), name="features")
    speech = keras.Input((None,), name="speech")
    logits = _mean([member.over_clip(features, speech) for member in members])
    model = keras.Model([features, speech], logits, name="sequence")
    model.undertone_members = members
    model.undertone_shape = shape
    return model


def build_block_model(sequence_model: keras.Model, batch: int) -> keras.Model:
    """The streaming face of a sequence model: same layers, one block, fixed batch, recurrence unrolled.

    Inputs: features [batch, context_frames + 20, n_mels], speech [batch, 5], state [batch, state_size] (zeros
    at the start of a segment). Outputs: logits [batch, n_classes], state. A masked step leaves every float of
    the state as it was, so a block without speech returns the state it was given.
    """
    shape: NetworkShape = sequence_model.undertone_shape
    features = keras.Input((shape.context_frames + FRAMES_PER_BLOCK, shape.n_mels), batch_size=batch, name="features")
    speech = keras.Input((STEPS_PER_BLOCK,), batch_size=batch, name="speech")
    state = keras.Input((shape.state_size,), batch_size=batch, name="state")
    size = shape.member_state
    outputs = [
        member.over_block(features, speech, state[:, number * size : (number + 1) * size])
        for number, member in enumerate(sequence_model.undertone_members)
    ]
    logits = keras.layers.Identity(name="logits")(_mean([logits for logits, _ in outputs]))
    new_state = outputs[0][1] if len(outputs) == 1 else ops.concatenate([new for _, new in outputs], axis=-1)
    new_state = keras.layers.Identity(name="new_state")(new_state)
    return keras.Model([features, speech, state], {"logits": logits, "state": new_state}, name="block")


def _prefix(member: int) -> str:
    # The first has none: networks of one member keep their weights' names whatever the number of members.
    return f"member{member + 1}_" if member else ""


def _mean(logits: list[Any]) -> Any:
    return sum(logits[1:], logits[0]) / len(logits) if len(logits) > 1 else logits[0]


def join_members(members: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Weights of networks of one member each, trained apart, as those of one network with that many members."""
    return {_prefix(n) + name: weight for n, weights in enumerate(members) for name, weight in weights.items()}


def set_normalisation(model: keras.Model, mean: np.ndarray, std: np.ndarray) -> None:
    """Write the per-band mean and standard deviation ([n_mels], of training speech) into the network."""
    for member in model.undertone_members:
        member.standardise.mean.assign(mean.astype(np.float32))
        member.standardise.scale.assign(1.0 / np.maximum(std, 1e-3).astype(np.float32))


def network_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights of a sequence model by layer and name, such as "gru/gru_cell/kernel": what an .npz file holds."""
    return {weight.path: np.asarray(weight) for weight in model.weights if "seed" not in weight.path}


def restore_weights(model: keras.Model, weights: dict[str, np.ndarray], skip: tuple[str, ...] = ()) -> None:
    """Put saved weights back; layers named in skip (the head, for new labels) keep their initial values.

    So does the novelty of networks that were saved before there was one.
    Raises KeyError where another weight is missing and ValueError where a shape differs.
    """
    for weight in model.weights:
        layer = weight.path.split("/")[0].split("_")[-1]
        if "seed" in weight.path or layer in skip or (layer == "novelty" and weight.path not in weights):
            continue
        weight.assign(weights[weight.path])


def restored(shape: NetworkShape, weights: dict[str, np.ndarray]) -> keras.Model:
    """The sequence model of this shape with all of these weights, of which there may be more.

    Raises as `restore_weights`.
    """
    model = build_sequence_model(shape)
    restore_weights(model, weights)
    return model

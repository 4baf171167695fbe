"""The networks that people train on frames: 1-D and 2-D convolutions, LSTM and GRU, in Keras.

All share the ends: standardisation with the training clips' mean and deviation, the mean over the steps of speech,
dropout, one dense layer. Optimiser, learning rate, L1, L2, dropout and width are searched; the epoch to stop at is
learned on inner validation speakers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from sklearn.utils.class_weight import compute_sample_weight

from trainer.compare.features import Sequences
from trainer.compare.measures import mean_recall
from trainer.compare.systems import Config, Labels, Rows

BATCH = 32
PATIENCE = 8  # epochs without a better inner UAR; UAR on a few speakers jumps by points from epoch to epoch

SPACE: Mapping[str, BaseDistribution] = {
    "optimiser": CategoricalDistribution(("adam", "rmsprop")),
    "learning_rate": FloatDistribution(3e-4, 5e-3, log=True),
    "width": CategoricalDistribution((32, 64)),
    "dropout": FloatDistribution(0.0, 0.6),
    "l1": FloatDistribution(1e-7, 1e-3, log=True),
    "l2": FloatDistribution(1e-6, 1e-2, log=True),
}
DEFAULTS: Config = {
    "optimiser": "adam",
    "learning_rate": 1e-3,
    "width": 64,
    "dropout": 0.3,
    "l1": 1e-6,
    "l2": 1e-4,
}


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained network and the constants of its input."""

    model: keras.Model
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def parameters(self) -> int:
        """Weights, and the constants of the input."""
        return int(self.model.count_params()) + 2 * self.mean.size

    def predict(self, inputs: Sequences, rows: Rows) -> Labels:
        """Class numbers of the clips at `rows`."""
        logits = [
            np.asarray(self.model([_scaled(*inputs.batch(part), self.mean, self.scale), inputs.batch(part)[1]]))
            for part in np.array_split(rows, max(1, len(rows) // 256))
        ]
        return np.asarray(np.concatenate(logits).argmax(axis=1), np.int64)


@dataclass(frozen=True, slots=True)
class Network:
    """One kind of network; `body(input, mask, width, regulariser)` maps steps [B, T, d] to [B, T', width]."""

    name: str
    family: str
    body: Callable[[Any, Any, int, keras.Regularizer], Any]
    epochs: int = 40
    takes: ClassVar[str] = "sequences"
    seeded: ClassVar[bool] = True
    space: ClassVar[Mapping[str, BaseDistribution]] = SPACE

    @property
    def defaults(self) -> Config:
        """Where no speaker is left to choose an epoch by, half of the most epochs are trained."""
        return {**DEFAULTS, "epochs": self.epochs // 2}

    def fit(self, inputs: Sequences, rows: Rows, y: Labels, config: Config, seed: int) -> FittedNetwork:
        """Train for `config["epochs"]` epochs on these clips."""
        return self._train(inputs, rows, y, config, seed, config["epochs"], [])

    def try_out(
        self, inputs: Sequences, train: Rows, valid: Rows, y: Labels, config: Config, seed: int
    ) -> tuple[float, Config]:
        """Best UAR on `valid` over the epochs, and that epoch."""
        watch = _Watch(inputs, valid, y)
        watch.fitted = self._train(inputs, train, y, config, seed, self.epochs, [watch])
        return watch.best, {"epochs": watch.best_epoch}

    def _train(
        self, inputs: Sequences, rows: Rows, y: Labels, config: Config, seed: int, epochs: int, callbacks: list
    ) -> FittedNetwork:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        steps, mask = inputs.batch(rows)
        mean, scale = _statistics(steps, mask)
        model = self._build(steps.shape[1:], int(y.max()) + 1, config)
        fitted = FittedNetwork(model, mean, scale)
        for callback in callbacks:
            callback.fitted = fitted
        weights = compute_sample_weight("balanced", y[rows])
        model.fit(
            (_scaled(steps, mask, mean, scale), mask),
            y[rows],
            sample_weight=weights,
            batch_size=BATCH,
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
        )
        return fitted

    def _build(self, shape: tuple[int, ...], classes: int, config: Config) -> keras.Model:
        steps, mask = keras.Input(shape), keras.Input(shape[:1])
        penalty = keras.regularizers.L1L2(config["l1"], config["l2"])
        values = self.body(steps, mask, config["width"], penalty)
        # Convolutions halve the steps; the mask follows.
        weight = ops.expand_dims(mask[:, :: shape[0] // values.shape[1]][:, : values.shape[1]], -1)
        pooled = ops.sum(values * weight, axis=1) / (ops.sum(weight, axis=1) + 1e-6)
        pooled = layers.Dropout(config["dropout"])(pooled)
        model = keras.Model([steps, mask], layers.Dense(classes, kernel_regularizer=penalty)(pooled))
        kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[config["optimiser"]]
        # jit_compile off: XLA compiles for seconds what trains for seconds.
        model.compile(
            kind(config["learning_rate"], clipnorm=1.0),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        return model


class _Watch(keras.callbacks.Callback):
    """After each epoch the UAR on inner validation clips; stops when it has not risen for PATIENCE epochs."""

    def __init__(self, inputs: Sequences, valid: Rows, y: Labels) -> None:
        super().__init__()
        self.inputs, self.valid, self.y = inputs, valid, y
        self.fitted: FittedNetwork | None = None
        self.best, self.best_epoch = -1.0, 1

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score, remember, perhaps stop."""
        if self.fitted is None:
            return
        uar = mean_recall(self.y[self.valid], self.fitted.predict(self.inputs, self.valid))
        if uar > self.best:
            self.best, self.best_epoch = uar, epoch + 1
        elif epoch + 1 - self.best_epoch >= PATIENCE:
            self.model.stop_training = True


def _statistics(
    steps: NDArray[np.float32], mask: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and 1 / deviation of each column [d] over the steps of speech."""
    speech = steps[mask > 0]
    return speech.mean(axis=0), 1 / np.maximum(speech.std(axis=0), 1e-3)


def _scaled(
    steps: NDArray[np.float32], mask: NDArray[np.float32], mean: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Standardised steps; 0, the mean, behind each clip's end."""
    return (steps - mean) * scale * mask[..., None]


def _cnn_1d(steps: Any, mask: Any, width: int, penalty: keras.Regularizer) -> Any:
    for _ in range(3):
        steps = layers.Conv1D(width, 5, padding="same", use_bias=False, kernel_regularizer=penalty)(steps)
        steps = layers.MaxPooling1D(2)(ops.relu(layers.BatchNormalization()(steps)))
    return steps


def _cnn_2d(steps: Any, mask: Any, width: int, penalty: keras.Regularizer) -> Any:
    image = ops.expand_dims(steps, -1)
    for channels in (width // 4, width // 2, width):
        # Strides instead of pooling: half the time, as most of it goes into the first, largest layer.
        image = layers.Conv2D(channels, 3, 2, padding="same", use_bias=False, kernel_regularizer=penalty)(image)
        image = ops.relu(layers.BatchNormalization()(image))
    return ops.mean(image, axis=2)


def _recurrent(kind: Callable[..., Any]) -> Callable[[Any, Any, int, keras.Regularizer], Any]:
    def body(steps: Any, mask: Any, width: int, penalty: keras.Regularizer) -> Any:
        return kind(width, return_sequences=True, kernel_regularizer=penalty)(steps, mask=ops.cast(mask, "bool"))

    return body


NETWORKS: tuple[Network, ...] = (
    Network("cnn-1d", "CNN", _cnn_1d),
    Network("cnn-2d", "CNN", _cnn_2d),
    Network("lstm", "RNN", _recurrent(layers.LSTM)),
    Network("gru", "RNN", _recurrent(layers.GRU)),
)

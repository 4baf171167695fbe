"""Every feature as librosa computes it, on the grid of the project: frames that end with their hop.

librosa frames forward from sample 0 with `center=False`; zeros put before the signal move its frames to our grid.
"""

from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import fft_samples, hop_samples
from undertone.acoustics.level import FULL_SCALE

Reference = dict[str, NDArray[np.float64]]


def librosa_features(samples: NDArray[np.int16], rate: int) -> Reference:
    """Features of int16 [n] in float64: [frames, size] by the names of `undertone.acoustics.feature_stream.NAMES`."""
    hop, n_fft = hop_samples(rate), fft_samples(rate)
    whole = samples[: samples.size // hop * hop] / FULL_SCALE
    y = np.concatenate([np.zeros(n_fft - hop), whole])
    grid: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop, "center": False}
    framed: dict[str, Any] = {"frame_length": n_fft, "hop_length": hop, "center": False}

    # The front end scales its window to sum 1 and librosa does not: the only difference of definition.
    scale = librosa.filters.get_window("hann", n_fft).sum() ** 2
    mel = librosa.feature.melspectrogram(y=y, sr=rate, n_mels=64, fmin=60, fmax=4000, norm=None, **grid) / scale
    mel_db = librosa.power_to_db(mel, amin=1e-10, top_db=None)
    mfcc = librosa.feature.mfcc(S=mel_db, n_mfcc=13)
    chroma = librosa.feature.chroma_stft(y=y, sr=rate, tuning=0.0, **grid)
    rms = librosa.feature.rms(y=y, **framed)
    features = {
        "logmel": np.log(np.maximum(mel, 1e-10)),
        "mfcc": mfcc,
        "mfcc_delta": librosa.feature.delta(mfcc, width=9, order=1),
        "mfcc_delta2": librosa.feature.delta(mfcc, width=9, order=2),
        "chroma": chroma,
        "contrast": _contrast(np.abs(librosa.stft(y, **grid)), rate),
        "tonnetz": librosa.feature.tonnetz(chroma=chroma),
        "pitch": librosa_pitch(whole, rate),
        "rms": rms,
        "intensity": librosa.amplitude_to_db(rms, amin=1e-6, top_db=None),
        "zcr": librosa.feature.zero_crossing_rate(y, **framed),
    }
    return {name: np.atleast_2d(values).T for name, values in features.items()}


def librosa_pitch(y: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """YIN over frames of 64 ms, 65 to 400 Hz."""
    length, hop = 8 * rate // 125, hop_samples(rate)
    padded = np.concatenate([np.zeros(length - hop), y])
    return librosa.yin(padded, fmin=65, fmax=400, sr=rate, frame_length=length, hop_length=hop, center=False)


def _contrast(magnitude: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Frame by frame, for librosa holds every band within 80 dB of the loudest of all frames it is given."""
    bands = 6 if rate == 16000 else 5
    frames = (magnitude[:, t : t + 1] for t in range(magnitude.shape[1]))
    return np.hstack([librosa.feature.spectral_contrast(S=frame, sr=rate, n_bands=bands) for frame in frames])


def relative_errors(ours: NDArray[np.float32], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each frame from the reference as a share of the reference's length: [frames].

    A frame shorter than 1 % of the longest counts as 1 %: a delta in silence is 0 but for rounding.
    """
    size = np.linalg.norm(reference, axis=1)
    return np.linalg.norm(ours - reference, axis=1) / np.maximum(size, 0.01 * size.max())

"""Cleaning of what the network sees: each step is optional and named in the model card's front end.

All of them look at one window (the block and its context) and nothing else, so a stream carries no state for them
(0 floats), and the result cannot depend on chunking or on other streams. Silence stays silence.
"""

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.level import FULL_SCALE, sum_squares
from undertone.acoustics.spectrum import BAND_HZ, BIN_HZ, BINS

# -23 dBFS is about where acted corpora lie; 30 dB of gain lifts a far microphone, but not line noise to speech.
TARGET_DBFS = -23.0
MAX_GAIN_DB = 30.0


def remove_dc(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each frame of float32 [..., n] less its own mean."""
    return frames - frames.mean(axis=-1, keepdims=True)


def level_gain(windows: NDArray[np.int16]) -> NDArray[np.float32]:
    """Gain that brings each window of int16 [B, n] to -23 dBFS RMS, within +-30 dB: float32 [B]."""
    rms = np.sqrt(sum_squares(windows) / windows.shape[-1]) / FULL_SCALE
    limit = 10.0 ** (MAX_GAIN_DB / 20)
    wanted = 10.0 ** (TARGET_DBFS / 20) / np.maximum(rms, 1e-9)
    return np.clip(wanted, 1 / limit, limit).astype(np.float32)


def pre_emphasis(coefficient: float) -> NDArray[np.float64]:
    """Power response of y[n] = x[n] - coefficient * x[n-1] at 8 kHz, on the 129 bins: float64 [129].

    Applied to the spectrum and not to the samples: it needs no sample from before the window, costs nothing (it is
    multiplied into the mel filters), and is the same filter for a 16 kHz stream as for an 8 kHz one.
    """
    angle = np.pi * BIN_HZ * np.arange(BINS) / BAND_HZ
    return 1.0 + coefficient**2 - 2.0 * coefficient * np.cos(angle)


def spectral_gate(mel: NDArray[np.float32], range_db: float) -> NDArray[np.float32]:
    """Mel energies float32 [B, frames, n_mels] with everything `range_db` below the window's peak held at that level.

    Background that lies under the speech becomes one flat level, which the network learns to ignore. A gate that
    learns a noise profile would cut deeper, but has to listen to the silent blocks too, which the engine skips.
    """
    peak = mel.max(axis=(-2, -1), keepdims=True)
    return np.maximum(mel, peak * np.float32(10.0 ** (-range_db / 10)))

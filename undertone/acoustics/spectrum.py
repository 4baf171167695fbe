"""Power spectra and mel bands that mean the same at 8 and 16 kHz."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from schemas.errors import MissingExtra
from undertone.acoustics.frames import fft_samples
from undertone.acoustics.transform import rfft

BAND_HZ = 4000
BINS = 129  # 0 to 4000 Hz in steps of 31.25 Hz
BIN_HZ = BAND_HZ / (BINS - 1)


@cache
def hann(rate: int) -> NDArray[np.float32]:
    """Periodic Hann window of 32 ms, scaled to sum 1: a tone then has the same height at 8 and 16 kHz."""
    n = fft_samples(rate)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return (window / window.sum()).astype(np.float32)


def power_spectrum(windowed: NDArray[np.float32], bins: int = BINS) -> NDArray[np.float32]:
    """|rfft|^2 of windowed frames float32 [..., n_fft], lowest `bins` bins: float32 [..., bins], contiguous."""
    # scipy keeps float32 and transforms several rows at once: 14 us for 28 frames where numpy.fft takes 25 to 110.
    spectrum = rfft(windowed)[..., :bins]
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power


@cache
def mel_bands(n_mels: int, fmin_hz: float, fmax_hz: float) -> NDArray[np.float32]:
    """librosa's mel filters (Slaney's scale, peak 1) over the lowest 129 bins: float32 [n_mels, 129].

    Raises:
        MissingExtra: librosa is not installed. A worker does without: its bundle carries the filters.
    """
    try:
        import librosa  # noqa: PLC0415  with numba, LLVM and scikit-learn, 270 MB that only the analysis installs
    except ImportError:
        raise MissingExtra("mel filters that no bundle carries are made by librosa", "analysis") from None
    return librosa.filters.mel(
        sr=2 * BAND_HZ, n_fft=2 * (BINS - 1), n_mels=n_mels, fmin=fmin_hz, fmax=fmax_hz, htk=False, norm=None
    )

"""What a spectrogram shows: for each point in time how loud each band is, as a byte."""

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import fft_samples
from undertone.acoustics.level import FULL_SCALE
from undertone.acoustics.spectrum import BAND_HZ, BINS, hann, power_spectrum
from undertone.console.web.sound import Sound

# Two of the spectrum's bins each, from 31 Hz to 4 kHz: a telephone has no more, and both rates have these.
BANDS = (BINS - 1) // 2
TOP_HZ = BAND_HZ
# Between the noise of a good line and the loudest partial of a voice.
_QUIETEST_DB, _LOUDEST_DB = -95.0, -30.0


def spectrum(sound: Sound, rate: int, length: int) -> NDArray[np.uint8]:
    """uint8 [points, BANDS], the lowest band first: 1 to 255 in dB, and 0 where nothing of a point was in Kafka.

    A point is `length` samples, heard through two windows of 32 ms, at its beginning and at its end.
    """
    size = fft_samples(rate)
    points = sound.samples.reshape(-1, length).astype(np.float32) / np.float32(FULL_SCALE)
    windows = np.stack([points[:, :size], points[:, length - size :]]) * hann(rate)
    power = power_spectrum(windows)[..., 1:].mean(axis=0).reshape(-1, BANDS, 2).mean(axis=2)
    loud = 10 * np.log10(np.maximum(power, np.float32(1e-12)))
    scaled = 1 + 254 * (loud - _QUIETEST_DB) / (_LOUDEST_DB - _QUIETEST_DB)
    there = sound.there.reshape(-1, length).any(axis=1, keepdims=True)
    return (np.clip(scaled, 1, 255) * there).astype(np.uint8)

"""Energy and level. Energies are exact integers, so a level does not depend on how the samples were cut."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FULL_SCALE = 32768.0
SILENCE_DBFS = -120.0
# So many samples at once as float64 (1 MB) stay in the processor's cache, however many streams there are.
_GROUP_SAMPLES = 128 * 1024


def sum_squares(samples: NDArray[np.int16]) -> NDArray[np.int64]:
    """Sum of squares over the last axis of int16 `samples`: exact, and exact again when partial sums are added."""
    # Every partial sum of fewer than 2^23 squares of int16 is a whole number below 2^53, so float64 rounds nothing
    # and takes 1.2 us for 20 hops of 200 samples where int64 takes 1.9 us.
    rows = samples.reshape(-1, samples.shape[-1])
    found = np.empty(len(rows), np.int64)
    step = max(1, _GROUP_SAMPLES // rows.shape[1])
    for start in range(0, len(rows), step):
        values = rows[start : start + step].astype(np.float64)
        found[start : start + step] = np.einsum("ij,ij->i", values, values)
    return found.reshape(samples.shape[:-1])


def dbfs(energy: ArrayLike, count: ArrayLike) -> NDArray[np.float64]:
    """RMS level of `count` samples with this sum of squares, in dB relative to full scale.

    A square wave at full scale has 0 dBFS, a sine -3 dBFS. Digital silence, and `count` 0, give -120.
    """
    mean = np.asarray(energy, np.float64) / (np.maximum(count, 1) * FULL_SCALE**2)
    return 10.0 * np.log10(np.maximum(mean, 10.0 ** (SILENCE_DBFS / 10)))

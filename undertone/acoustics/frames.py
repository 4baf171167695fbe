"""The grid of time that everything here shares: hops, frames and blocks on the stream's own sample index.

Frame `j` ends at sample `(j + 1) * hop` and starts one window earlier, so it never looks ahead; samples before the
stream's start are zeros. Block `k` holds frames `20 k` to `20 k + 19`, whatever pieces the samples came in.
"""

import numpy as np
from numpy.typing import NDArray

RATES = (8000, 16000)
HOPS_PER_SECOND = 80
WINDOWS_PER_SECOND = 31.25
BLOCK_FRAMES = 20


def hop_samples(rate: int) -> int:
    """Samples from one frame to the next (12.5 ms): 100 or 200. ValueError for a rate that is not in RATES."""
    if rate not in RATES:
        raise ValueError(f"sample rate {rate}: only {RATES} are framed; resample first")
    return rate // HOPS_PER_SECOND


def fft_samples(rate: int) -> int:
    """Samples in a frame (32 ms): 256 or 512, so that bins lie 31.25 Hz apart at both rates."""
    return hop_samples(rate) * 64 // 25


def block_samples(rate: int) -> int:
    """Samples in a block (250 ms): 2000 or 4000."""
    return BLOCK_FRAMES * hop_samples(rate)


def window_samples(rate: int, frames: int) -> int:
    """Samples that `frames` consecutive frames cover."""
    return (frames - 1) * hop_samples(rate) + fft_samples(rate)


def frame_view(samples: NDArray, length: int, hop: int) -> NDArray:
    """Overlapping frames of `samples` [..., n] as a read-only view [..., (n - length) // hop + 1, length].

    Raises:
        ValueError: there are fewer samples than a frame takes.
    """
    if samples.shape[-1] < length:
        raise ValueError(f"{samples.shape[-1]} samples are shorter than a frame of {length}")
    *outer, step = samples.strides
    shape = (*samples.shape[:-1], (samples.shape[-1] - length) // hop + 1, length)
    # `sliding_window_view` gives the same and takes 10 us more, which eight windows have to bear.
    return np.lib.stride_tricks.as_strided(samples, shape, (*outer, hop * step, step), writeable=False)


def block_windows(samples: NDArray[np.int16], rate: int, context_frames: int) -> NDArray[np.int16]:
    """The window of every block of a whole signal, as a worker sees them one after the other.

    Args:
        samples: int16 [n], a stream from its first sample. The last block is filled up with zeros.
        rate: 8000 or 16000.
        context_frames: frames before each block that belong to its window.

    Returns:
        int16 [blocks, window_samples(rate, context_frames + 20)], read-only view of a padded copy.
    """
    block = block_samples(rate)
    length = window_samples(rate, context_frames + BLOCK_FRAMES)
    before = length - block
    padded = np.zeros(before + -(-samples.size // block) * block, np.int16)
    padded[before : before + samples.size] = samples
    if samples.size == 0:
        return np.empty((0, length), np.int16)
    return frame_view(padded, length, block)

"""Any sample rate to 8 or 16 kHz, as a stream, and decoded floats to int16."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from undertone.acoustics.frames import RATES
from undertone.acoustics.level import FULL_SCALE

# What audio files hold, with room to spare; a header that claims more would make the resampler's buffers as large.
LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000


def target_rate(rate: int, wanted: int | None = None) -> int:
    """The rate a source of `rate` Hz is streamed at: `wanted`, else its own if 8 or 16 kHz, else the nearest below.

    A source below 8 kHz becomes 8 kHz, one between the two 8 kHz, one above 16 kHz 16 kHz.
    """
    if wanted is not None:
        return wanted
    low, high = RATES
    return high if rate >= high else low


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Floats in [-1, 1) to int16, rounded to nearest and clipped; 16-bit files come through unchanged."""
    return np.clip(np.rint(samples * np.float32(FULL_SCALE)), -32768, 32767).astype(np.int16)


def resampled(
    blocks: Iterable[NDArray[np.float32]], channels: int, rate: int, wanted: int
) -> Iterator[NDArray[np.int16]]:
    """Blocks of float32 [n, channels] at `rate` as blocks of int16 at `wanted` Hz; memory is one block's."""
    if rate == wanted:
        yield from map(to_int16, blocks)
        return
    stream = soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
    for block in blocks:
        out = stream.resample_chunk(block)
        if len(out):
            yield to_int16(out)
    yield to_int16(stream.resample_chunk(np.empty((0, channels), np.float32), last=True))

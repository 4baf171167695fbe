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


class Resampler:
    """One source's samples from `rate` to `wanted` Hz, block by block: float32 [n, channels] in, int16 out.

    What comes out does not depend on how the source is cut, and sample n of it is the moment n / `wanted`: the filter's
    delay holds samples back until the next block or `flush`, it moves none.
    """

    def __init__(self, channels: int, rate: int, wanted: int) -> None:
        self._new = lambda: soxr.ResampleStream(rate, wanted, channels, dtype="float32", quality="HQ")
        self._none = np.empty((0, channels), np.float32)
        self._stream = self._new()

    def feed(self, block: NDArray[np.float32]) -> NDArray[np.int16]:
        """What is certain after `block`."""
        return to_int16(self._stream.resample_chunk(block))

    def flush(self) -> NDArray[np.int16]:
        """The rest of what was fed; after it another source begins."""
        rest = to_int16(self._stream.resample_chunk(self._none, last=True))
        self._stream = self._new()
        return rest


def resampled(
    blocks: Iterable[NDArray[np.float32]], channels: int, rate: int, wanted: int
) -> Iterator[NDArray[np.int16]]:
    """Blocks of float32 [n, channels] at `rate` as blocks of int16 at `wanted` Hz; memory is one block's."""
    if rate == wanted:
        yield from map(to_int16, blocks)
        return
    resampler = Resampler(channels, rate, wanted)
    for block in blocks:
        out = resampler.feed(block)
        if len(out):
            yield out
    yield resampler.flush()

"""Headerless PCM from a binary stream (standard input): L16 little-endian as sound tools write it, or G.711."""

from collections.abc import Iterator
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.errors import UserError
from undertone.acoustics.codecs import decode
from undertone.acoustics.decode import MAX_CHANNELS
from undertone.acoustics.level import FULL_SCALE
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE, resampled, target_rate

# `l16` on a pipe is little-endian: what arecord, sox and ffmpeg write by default. On Kafka it is big-endian (RFC 2586).
_ENCODINGS = {"l16": Encoding.L16LE, "pcmu": Encoding.PCMU, "pcma": Encoding.PCMA}
# A live source must not wait for a whole second: a pipe is read in pieces of 20 ms.
_PIECES_PER_SECOND = 50


def read_pcm(
    stream: BinaryIO,
    rate: int,
    channels: int,
    encoding: Literal["l16", "pcmu", "pcma"] = "l16",
    *,
    wanted: int | None = None,
    name: str = "standard input",
) -> Iterator[NDArray[np.int16]]:
    """Blocks of int16 [n, channels] of 20 ms at `target_rate(rate, wanted)` Hz, until the stream ends.

    Args:
        stream: interleaved samples without a header.
        rate: samples per second and channel.
        channels: 1 to 8.
        encoding: how the samples are written; `l16` is little-endian here.
        wanted: 8000 or 16000, to resample to.
        name: the stream's name in messages.

    Raises:
        UserError: an impossible rate or channel count, no samples at all, or an end within a sample.
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UserError(f"{name}: sample rate {rate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise UserError(f"{name}: {channels} channels, need 1 to {MAX_CHANNELS}")
    samples = _samples(stream, rate // _PIECES_PER_SECOND, channels, _ENCODINGS[encoding], name)
    out = target_rate(rate, wanted)
    if out == rate:
        yield from samples
        return
    yield from resampled((s.astype(np.float32) / np.float32(FULL_SCALE) for s in samples), channels, rate, out)


def _samples(stream: BinaryIO, count: int, channels: int, encoding: Encoding, name: str) -> Iterator[NDArray[np.int16]]:
    width = channels * encoding.sample_bytes
    size = count * width
    empty = True
    while data := stream.read(size):
        if len(data) % width:
            raise UserError(f"{name}: ends within a sample ({len(data) % width} of {width} bytes of its last frame)")
        empty = False
        yield decode(data, encoding).reshape(-1, channels)
    if empty:
        raise UserError(f"{name}: no samples")

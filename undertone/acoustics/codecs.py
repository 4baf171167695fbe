"""Bytes on the wire to int16 samples and back: L16 in both byte orders, and G.711's mu-law and A-law.

G.711 (ITU-T, 11/1988) codes a sample as sign, 3-bit segment and 4-bit step. Mu-law takes 14-bit samples, A-law 13-bit
ones; the bits that int16 has below that are dropped towards zero.
"""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding

_ULAW_BIAS = 132
_ULAW_CLIP = 32635


def decode(data: bytes, encoding: Encoding) -> NDArray[np.int16]:
    """Samples of `data`: int16 [n].

    Raises:
        ValueError: L16 data of an odd number of bytes.
    """
    match encoding:
        case Encoding.L16:
            return np.frombuffer(data, ">i2").astype(np.int16)
        case Encoding.L16LE:
            return np.frombuffer(data, "<i2").astype(np.int16)
        case Encoding.PCMU:
            return _by_table(data, _ulaw_samples())
        case Encoding.PCMA:
            return _by_table(data, _alaw_samples())


def decode_all(pieces: Sequence[bytes], encoding: Encoding) -> list[NDArray[np.int16]]:
    """Samples of each of `pieces`, which may be of several streams, decoded at once.

    Raises:
        ValueError: L16 data of an odd number of bytes.
    """
    samples = decode(b"".join(pieces), encoding)
    ends = list(accumulate(len(piece) // encoding.sample_bytes for piece in pieces))
    return [samples[start:end] for start, end in pairwise([0, *ends])]


def encode(samples: NDArray[np.int16], encoding: Encoding) -> bytes:
    """Bytes of int16 `samples`; L16 is exact, G.711 keeps 8 bits of each."""
    match encoding:
        case Encoding.L16:
            return samples.astype(">i2").tobytes()
        case Encoding.L16LE:
            return samples.astype("<i2").tobytes()
        case Encoding.PCMU:
            return _ulaw_codes()[samples.view(np.uint16)].tobytes()
        case Encoding.PCMA:
            return _alaw_codes()[samples.view(np.uint16)].tobytes()


def _by_table(data: bytes, pairs: NDArray[np.uint32]) -> NDArray[np.int16]:
    """G.711 two bytes at a time: 2 us for half a second, where one at a time takes 4."""
    padded = data + b"\0" if len(data) % 2 else data
    return pairs.take(np.frombuffer(padded, np.uint16)).view(np.int16)[: len(data)]


def _pairs(samples: NDArray[np.int16]) -> NDArray[np.uint32]:
    """The two samples of each two bytes, as both lie in memory, by the samples of each byte."""
    both = np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)
    return samples[both].view(np.uint32)[:, 0]


@cache
def _ulaw_samples() -> NDArray[np.uint32]:
    code = ~np.arange(256, dtype=np.uint8)
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    size = (((step << 3) + _ULAW_BIAS) << segment) - _ULAW_BIAS
    return _pairs(np.where(code & 0x80, -size, size).astype(np.int16))


@cache
def _alaw_samples() -> NDArray[np.uint32]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    linear = (step << 4) + 8
    size = np.where(segment == 0, linear, (linear + 0x100) << np.maximum(segment - 1, 0))
    return _pairs(np.where(code & 0x80, size, -size).astype(np.int16))


def _all_samples() -> NDArray[np.int32]:
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _segment_of(size: NDArray[np.int32], shift: int) -> NDArray[np.int32]:
    """The number of bits of `size` above `shift` bits, so 0 for the lowest segment."""
    return np.maximum(np.frexp(size)[1] - shift, 0)


@cache
def _ulaw_codes() -> NDArray[np.uint8]:
    sample = _all_samples()
    size = np.minimum(np.abs(sample) & ~3, _ULAW_CLIP) + _ULAW_BIAS
    segment = _segment_of(size, 8)
    code = (segment << 4) | ((size >> (segment + 3)) & 15)
    return (code ^ np.where(sample < 0, 0x7F, 0xFF)).astype(np.uint8)


@cache
def _alaw_codes() -> NDArray[np.uint8]:
    sample = _all_samples()
    size = np.minimum(np.abs(sample), 32767)
    segment = _segment_of(size, 8)
    code = (segment << 4) | ((size >> np.maximum(segment + 3, 4)) & 15)
    return (code ^ np.where(sample < 0, 0x55, 0xD5)).astype(np.uint8)

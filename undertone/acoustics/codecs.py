"""Bytes on the wire to int16 samples and back: L16 in both byte orders, and G.711's mu-law and A-law.

G.711 (ITU-T, 11/1988) codes a sample as sign, 3-bit segment and 4-bit step. Mu-law takes 14-bit samples, A-law 13-bit
ones; the bits that int16 has below that are dropped towards zero.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding

_ULAW_BIAS = 132
_ULAW_CLIP = 32635


def decode(data: bytes, encoding: Encoding) -> NDArray[np.int16]:
    """Samples of `data`: int16 [n].

    G.711 by `take`: 4 us for half a second, where indexing the table takes 7.

    Raises:
        ValueError: L16 data of an odd number of bytes.
    """
    match encoding:
        case Encoding.L16:
            return np.frombuffer(data, ">i2").astype(np.int16)
        case Encoding.L16LE:
            return np.frombuffer(data, "<i2").astype(np.int16)
        case Encoding.PCMU:
            return _ulaw_samples().take(np.frombuffer(data, np.uint8))
        case Encoding.PCMA:
            return _alaw_samples().take(np.frombuffer(data, np.uint8))


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


@cache
def _ulaw_samples() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    segment, step = (code >> 4) & 7, (code & 15).astype(np.int32)
    size = (((step << 3) + _ULAW_BIAS) << segment) - _ULAW_BIAS
    return np.where(code & 0x80, -size, size).astype(np.int16)


@cache
def _alaw_samples() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    linear = (step << 4) + 8
    size = np.where(segment == 0, linear, (linear + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


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

"""Features of blocks of 20 frames, each by the formula of librosa.

`docs/explanation/features.md` has the formulas and the parity.

A frame of 32 ms (64 ms for pitch) ends with its hop, so that no feature looks ahead of it. Everything is computed per
block in one shape, so a frame's bits do not depend on how the samples came in. The stream and the deltas, which do
look beyond a frame, are in `undertone.acoustics.feature_stream`.
"""

from functools import cache, cached_property
from itertools import pairwise

import librosa
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from schemas.card import FrontEndSpec
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, fft_samples, frame_view, hop_samples, window_samples
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.level import FULL_SCALE, dbfs, sum_squares
from undertone.acoustics.pitch import FRAME_SECONDS, VOICED_BELOW, yin

# Names of the features, and of `BlockFeatures`' properties.
FEATURES = ("logmel", "mfcc", "chroma", "contrast", "tonnetz", "pitch", "voiced", "rms", "intensity", "zcr")
N_MFCC = 13
CONTRAST_FMIN_HZ = 200.0
CONTRAST_QUANTILE = 0.02
AMIN = 1e-10

Block = NDArray[np.float32]  # [B, 20, size of the feature]


def feature_size(name: str, rate: int) -> int:
    """Numbers per frame of a feature."""
    sizes = {"logmel": 64, "mfcc": N_MFCC, "chroma": 12, "contrast": len(_octaves(rate)), "tonnetz": 6}
    return sizes.get(name, 1)


def feature_window_samples(rate: int) -> int:
    """Samples that end with a block and hold every frame of it, the long ones of pitch too."""
    return block_samples(rate) + _pitch_frame(rate) - hop_samples(rate)


class BlockFeatures:
    """Features of the blocks at the ends of `windows`, int16 [B, feature_window_samples(rate)], computed when asked."""

    def __init__(self, windows: NDArray[np.int16], rate: int) -> None:
        self.rate = rate
        self._windows = windows
        self._short = windows[:, -window_samples(rate, BLOCK_FRAMES) :]
        self._frames = frame_view(self._short, fft_samples(rate), hop_samples(rate))

    @cached_property
    def logmel(self) -> Block:
        """Natural log of 64 mel energies, 60 to 4000 Hz: what the default front end gives the network."""
        return _front_end().compute(self._short, self.rate)

    @cached_property
    def mfcc(self) -> NDArray[np.float64]:
        """13 cepstral coefficients: orthonormal DCT-II of the log-mel bands in dB. In float64, for the deltas."""
        decibels = self.logmel * np.float64(10 / np.log(10))
        return scipy.fft.dct(decibels, axis=-1, type=2, norm="ortho")[..., :N_MFCC]

    @cached_property
    def chroma(self) -> Block:
        """12 pitch classes' energy, scaled so that the strongest is 1; tuning A4 = 440 Hz."""
        energy = np.square(self._magnitude) @ _chroma_bands(self.rate).T
        peak = energy.max(axis=-1, keepdims=True)
        return (energy / np.where(peak > 0, peak, 1)).astype(np.float32)

    @cached_property
    def contrast(self) -> Block:
        """dB between the strongest and the weakest 2 % of each octave band: 7 bands at 16 kHz, 6 at 8 kHz."""
        bands = [np.sort(self._magnitude[..., low:high], axis=-1) for low, high, _ in _octaves(self.rate)]
        counts = [count for *_, count in _octaves(self.rate)]
        valley = np.stack([band[..., :n].mean(axis=-1) for band, n in zip(bands, counts, strict=True)], axis=-1)
        peak = np.stack([band[..., -n:].mean(axis=-1) for band, n in zip(bands, counts, strict=True)], axis=-1)
        return (10 * np.log10(np.maximum(peak, AMIN) / np.maximum(valley, AMIN))).astype(np.float32)

    @cached_property
    def tonnetz(self) -> Block:
        """Six tonal centroid coordinates (fifths, minor and major thirds) of the chroma."""
        total = self.chroma.sum(axis=-1, keepdims=True)
        share = self.chroma / np.where(total > 0, total, np.float32(1))
        return np.matmul(share, _tonal_axes(), dtype=np.float32)

    @cached_property
    def pitch(self) -> Block:
        """YIN's fundamental frequency in Hz, given for unvoiced frames too."""
        return self._yin[0].astype(np.float32)[..., None]

    @cached_property
    def voiced(self) -> Block:
        """1 where the frame has a clear pitch, else 0."""
        return (self._yin[1] < VOICED_BELOW).astype(np.float32)[..., None]

    @cached_property
    def rms(self) -> Block:
        """Root mean square of the frame, 0 to 1."""
        mean = sum_squares(self._frames) / fft_samples(self.rate)
        return (np.sqrt(mean) / FULL_SCALE).astype(np.float32)[..., None]

    @cached_property
    def intensity(self) -> Block:
        """Level of the frame in dBFS, -120 for silence."""
        return dbfs(sum_squares(self._frames), fft_samples(self.rate)).astype(np.float32)[..., None]

    @cached_property
    def zcr(self) -> Block:
        """Sign changes between neighbouring samples, per sample of the frame; zero counts as positive."""
        negative = self._frames < 0
        changes = np.count_nonzero(negative[..., 1:] != negative[..., :-1], axis=-1)
        return (changes / np.float32(fft_samples(self.rate))).astype(np.float32)[..., None]

    @cached_property
    def _magnitude(self) -> NDArray[np.float64]:
        # In float64: contrast compares bins 80 dB apart, where float32 would leave an error of 1 %.
        n = fft_samples(self.rate)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
        return np.abs(scipy.fft.rfft(self._frames * (hann / FULL_SCALE)))

    @cached_property
    def _yin(self) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        frames = frame_view(self._windows, _pitch_frame(self.rate), hop_samples(self.rate))
        return yin(frames / FULL_SCALE, self.rate)


def _pitch_frame(rate: int) -> int:
    return int(FRAME_SECONDS * rate)


@cache
def _front_end() -> FrontEnd:
    return FrontEnd(FrontEndSpec())


@cache
def _chroma_bands(rate: int) -> NDArray[np.float64]:
    """[12, bins]."""
    return librosa.filters.chroma(sr=rate, n_fft=fft_samples(rate), tuning=0.0, dtype=np.float64)


@cache
def _octaves(rate: int) -> tuple[tuple[int, int, int], ...]:
    """Bands of the spectral contrast as first bin, bin after the last, and how many bins make its peak and valley.

    0 to 200 Hz, then octaves; the last one reaches to the Nyquist frequency. As in librosa a band shares its lowest
    bin with the band below and the count is that of the bins before the uppermost is given away.
    """
    frequencies = librosa.fft_frequencies(sr=rate, n_fft=fft_samples(rate))
    edges = [0.0, CONTRAST_FMIN_HZ]
    while 2 * edges[-1] < rate / 2:
        edges.append(2 * edges[-1])
    bands = []
    for low, high in pairwise(edges):
        inside = np.flatnonzero((frequencies >= low) & (frequencies <= high))
        first, last = max(inside[0] - 1, 0), inside[-1]
        bands.append((first, last, _quantile_count(last + 1 - first)))
    first = np.flatnonzero(frequencies >= edges[-1])[0] - 1
    bands.append((first, len(frequencies), _quantile_count(len(frequencies) - first)))
    return tuple(bands)


def _quantile_count(bins: int) -> int:
    return max(int(np.rint(CONTRAST_QUANTILE * bins)), 1)


@cache
def _tonal_axes() -> NDArray[np.float32]:
    """Harte, Sandler and Gasser 2006, "Detecting harmonic change in musical audio": sine and cosine of each interval.

    float32 [12, 6]: fifths with radius 1, minor thirds with radius 1, major thirds with radius 0.5.
    """
    semitones = np.arange(12)
    axes = []
    for turns, radius in ((7 / 12, 1.0), (9 / 12, 1.0), (4 / 12, 0.5)):
        angle = 2 * np.pi * turns * semitones
        axes += [radius * np.sin(angle), radius * np.cos(angle)]
    return np.stack(axes, axis=-1).astype(np.float32)

"""Features of a stream, fed in pieces of any size; offline features are the same stream, fed once.

Frames come out a block (250 ms) at a time. With deltas they come four frames later, because a delta is the slope over
nine frames centred on its own: 50 ms of look-ahead.
"""

from collections.abc import Sequence

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from undertone.acoustics.features import FEATURES, BlockFeatures, feature_size, feature_window_samples
from undertone.acoustics.frames import block_samples, frame_view, hop_samples

DELTA_WIDTH = 9
DELTA_REACH = DELTA_WIDTH // 2
DELTA_ORDERS = {"mfcc_delta": 1, "mfcc_delta2": 2}
NAMES = (*FEATURES, *DELTA_ORDERS)

# Blocks computed at once: 2 s of sound take a few MB of spectra, however long the piece is that was fed.
_GROUP = 8

Frames = dict[str, NDArray[np.float32]]  # [frames, size] by name


class FeatureStream:
    """Features of one stream of int16 samples. Every cutting of the samples gives the same frames, bit for bit."""

    def __init__(self, rate: int, names: Sequence[str]) -> None:
        """At least one of NAMES; `rate` 8000 or 16000. ValueError for anything else."""
        unknown = set(names) - set(NAMES)
        if unknown or not names:
            raise ValueError(
                f"no features named {', '.join(sorted(unknown)) or 'nothing'}; there are {', '.join(NAMES)}"
            )
        self._rate, self._names = rate, tuple(names)
        self._computed = tuple({"mfcc" if name in DELTA_ORDERS else name: None for name in names})
        self._delay = DELTA_REACH if DELTA_ORDERS.keys() & set(names) else 0
        self._lookback = feature_window_samples(rate) - block_samples(rate)
        self._samples = np.zeros(self._lookback, np.int16)
        # float64 until they are given out: MFCC 0 lies near -800, where float32 has steps of 6e-5; a delta sums nine.
        self._pending = {name: np.empty((0, feature_size(name, rate))) for name in self._computed}
        self._past_mfcc = np.empty((0, feature_size("mfcc", rate)))

    def feed(self, samples: NDArray[np.int16]) -> Frames:
        """Take int16 [n]; return the frames that are now complete: float32 [frames, size] by name, maybe none."""
        self._samples = np.concatenate([self._samples, samples])
        block = block_samples(self._rate)
        blocks = (self._samples.size - self._lookback) // block
        if blocks > 0:
            windows = frame_view(self._samples, self._lookback + block, block)
            self._compute(windows)
            self._samples = self._samples[blocks * block :].copy()
        return self._take(self._delay)

    def flush(self) -> Frames:
        """The frames of the whole hops since the last block, and those that waited; the stream ends here."""
        hops = (self._samples.size - self._lookback) // hop_samples(self._rate)
        window = np.zeros((1, self._lookback + block_samples(self._rate)), np.int16)
        window[0, : self._samples.size] = self._samples
        held = {name: len(frames) for name, frames in self._pending.items()}
        self._compute(window)
        # The hops behind the last sample were only there to fill the block.
        self._pending = {name: frames[: held[name] + hops] for name, frames in self._pending.items()}
        return self._take(0)

    def _compute(self, windows: NDArray[np.int16]) -> None:
        """Append the frames of these blocks to the pending ones."""
        parts = {name: [frames] for name, frames in self._pending.items()}
        for start in range(0, len(windows), _GROUP):
            block = BlockFeatures(windows[start : start + _GROUP], self._rate)
            for name, frames in parts.items():
                values: NDArray[np.floating] = getattr(block, name)
                frames.append(values.reshape(-1, values.shape[-1]).astype(np.float64))
        self._pending = {name: np.concatenate(frames) for name, frames in parts.items()}

    def _take(self, delay: int) -> Frames:
        """Give out the pending frames but the last `delay`."""
        ready = max(min(len(frames) for frames in self._pending.values()) - delay, 0)
        out = {name: self._pending[name][:ready].astype(np.float32) for name in self._names if name in self._pending}
        if self._delay:
            known = np.concatenate([self._past_mfcc, self._pending["mfcc"]])
            for name in DELTA_ORDERS.keys() & set(self._names):
                first = len(self._past_mfcc)
                out[name] = delta(known, DELTA_ORDERS[name])[first : first + ready]
            # At the end a slope over the last nine frames is needed: four of them are pending by then, or more.
            self._past_mfcc = known[: len(self._past_mfcc) + ready][-(DELTA_WIDTH - 1) :]
        self._pending = {name: frames[ready:] for name, frames in self._pending.items()}
        return out


def features_of(samples: NDArray[np.int16], rate: int, names: Sequence[str]) -> Frames:
    """Features of a whole signal int16 [n]: a frame for each whole hop, float32 [n // hop, size] by name."""
    stream = FeatureStream(rate, names)
    first, last = stream.feed(samples), stream.flush()
    return {name: np.concatenate([first[name], last[name]]) for name in names}


def delta(frames: NDArray[np.floating], order: int) -> NDArray[np.float32]:
    """Local derivative over nine frames (Savitzky-Golay, polynomial of degree `order`) of [n, size].

    The first and last four frames repeat the slope of their neighbour, as librosa's `mode="interp"` comes to for a
    derivative of the polynomial's own degree. Fewer than nine frames have the slope 0.
    """
    if len(frames) < DELTA_WIDTH:
        return np.zeros(frames.shape, np.float32)
    weights = scipy.signal.savgol_coeffs(DELTA_WIDTH, polyorder=order, deriv=order, use="dot")
    count = len(frames) - DELTA_WIDTH + 1
    # A sum in a fixed order and not a matrix product: its rounding does not depend on how many frames there are.
    slopes = np.zeros((count, frames.shape[1]))
    for i, weight in enumerate(weights):
        slopes += weight * frames[i : i + count]
    return np.pad(slopes.astype(np.float32), ((DELTA_REACH, DELTA_REACH), (0, 0)), mode="edge")

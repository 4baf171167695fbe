"""What a report draws of a stream's sound, in bounded memory: envelope, spectrogram, level and pitch.

A 3 s clip and a 24-hour call give pictures of about the same number of columns: when there are too many,
neighbours are merged two by two.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, fft_samples, frame_view, hop_samples
from undertone.acoustics.level import FULL_SCALE, SILENCE_DBFS, dbfs, sum_squares
from undertone.acoustics.pitch import TRACK_FRAMES, pitch_sums, track_pitch
from undertone.acoustics.spectrum import BINS, hann, power_spectrum

# Wider than most screens; even, so that a full picture halves.
ENVELOPE_COLUMNS = 3000
SPECTRUM_COLUMNS = 1200
CURVE_COLUMNS = 1500
# Samples before a block that pitch (64 ms frames, 50 ms apart) and spectrum need.
_LOOKBACK_SECONDS = 0.02
_PEAK_POINTS = 20  # of the envelope, per block: 12.5 ms


class Columns:
    """Rows of numbers in time, float64 [n, width], merged by `combine` so that fewer than `limit` columns remain."""

    def __init__(self, width: int, limit: int, combine: Callable[..., NDArray[np.float64]] = np.add.reduce) -> None:
        self._limit = limit
        self._combine = combine
        self._columns = np.empty((0, width))
        self._waiting = np.empty((0, width))
        self.rows_per_column = 1

    def add(self, rows: NDArray[np.float64]) -> None:
        """Add rows that follow in time, [n, width]."""
        rows = np.concatenate([self._waiting, rows])
        while len(rows) >= self.rows_per_column:
            whole = min(len(rows) // self.rows_per_column, self._limit - len(self._columns))
            taken = whole * self.rows_per_column
            self._columns = np.concatenate([self._columns, self._merge(rows[:taken], self.rows_per_column)])
            rows = rows[taken:]
            if len(self._columns) == self._limit:
                self._columns = self._merge(self._columns, 2)
                self.rows_per_column *= 2
        self._waiting = rows

    def all(self) -> NDArray[np.float64]:
        """The columns, the last one of fewer rows where they do not divide."""
        if not len(self._waiting):
            return self._columns
        return np.concatenate([self._columns, self._merge(self._waiting, len(self._waiting))])

    def _merge(self, rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        return self._combine(rows.reshape(-1, count, rows.shape[1]), axis=1)


@dataclass(frozen=True, slots=True)
class Picture:
    """A stream's sound, ready to be drawn. Times between columns are in seconds."""

    envelope: NDArray[np.float64]  # [n, 2], lowest and highest sample, -1 to 1
    envelope_step: float
    spectrum_db: NDArray[np.float64]  # [n, 129], 0 to 4000 Hz
    spectrum_step: float
    level_dbfs: NDArray[np.float64]  # [n]
    pitch_hz: NDArray[np.float64]  # [n], NaN where nothing is voiced
    curve_step: float
    seconds: float


class Traces:
    """Collects one stream's samples, in pieces of any length."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._block = block_samples(rate)
        self._before = int(_LOOKBACK_SECONDS * rate)
        self._held = np.zeros(self._before, np.int16)
        self._samples = 0
        self._envelope = Columns(2, ENVELOPE_COLUMNS, np.maximum.reduce)
        self._spectrum = Columns(BINS + 1, SPECTRUM_COLUMNS)
        self._curves = Columns(4, CURVE_COLUMNS)

    def add(self, samples: NDArray[np.int16]) -> None:
        """Add samples, int16 [n]."""
        self._samples += samples.size
        self._held = np.concatenate([self._held, samples])
        blocks = (self._held.size - self._before) // self._block
        if blocks:
            taken = self._before + blocks * self._block
            self._draw(self._held[:taken])
            self._held = self._held[taken - self._before :]

    def finish(self) -> Picture:
        """The picture of all that was added; a rest of less than a block is filled up with silence."""
        seconds = self._samples / self._rate
        rest = self._held.size - self._before
        if rest:
            self.add(np.zeros(self._block - rest, np.int16))
        envelope, spectrum, curves = self._envelope.all(), self._spectrum.all(), self._curves.all()
        power = spectrum[:, :BINS] / np.maximum(spectrum[:, BINS:], 1)
        energy, count, log_pitch, voiced = curves.T
        with np.errstate(invalid="ignore", divide="ignore"):
            pitch = np.exp(log_pitch / voiced)
        block_s = self._block / self._rate
        return Picture(
            envelope=envelope * [-1, 1],
            envelope_step=self._envelope.rows_per_column * block_s / _PEAK_POINTS,
            spectrum_db=np.maximum(10 * np.log10(np.maximum(power, 1e-12)), SILENCE_DBFS),
            spectrum_step=self._spectrum.rows_per_column * block_s / BLOCK_FRAMES,
            level_dbfs=dbfs(energy, count),
            pitch_hz=np.where(voiced > 0, pitch, np.nan),
            curve_step=self._curves.rows_per_column * block_s / TRACK_FRAMES,
            seconds=seconds,
        )

    def _draw(self, samples: NDArray[np.int16]) -> None:
        """Draw whole blocks: `samples` is int16 [lookback + n blocks]."""
        fresh = samples[self._before :].astype(np.float64) / FULL_SCALE
        peaks = fresh.reshape(-1, self._block // _PEAK_POINTS)
        self._envelope.add(np.stack([-peaks.min(axis=1), peaks.max(axis=1)], axis=1))

        hop = hop_samples(self._rate)
        # Frames that end with their hop, as the model has them: their start lies in what came before.
        frames = frame_view(samples[self._before + hop - fft_samples(self._rate) :], fft_samples(self._rate), hop)
        power = power_spectrum(frames * (hann(self._rate) / np.float32(FULL_SCALE)))
        self._spectrum.add(np.concatenate([power, np.ones((len(power), 1))], axis=1))

        windows = frame_view(samples, self._before + self._block, self._block)
        pitch = track_pitch(windows, self._rate).reshape(-1)
        part = self._block // TRACK_FRAMES
        energy = sum_squares(samples[self._before :].reshape(-1, part))
        log_pitch, voiced = pitch_sums(pitch[:, None])
        self._curves.add(np.stack([energy, np.full(len(pitch), part), log_pitch, voiced], axis=1))

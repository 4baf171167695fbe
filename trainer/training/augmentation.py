"""Augmentation of log-mel clips: what calls do to speech, applied where it is cheap.

Everything works on log-mel frames, not on samples, so that each epoch varies each clip anew at a few
milliseconds a batch: speed, pitch, gain, channel, added noise (mel powers add) and SpecAugment. The gate's mask
follows: where noise covers the quiet parts of speech, the gate would not have opened there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from schemas.card import GateSpec
from trainer.data.speech import hang_over

LOG_PER_DB = float(np.log(10.0) / 10.0)

Noises = Sequence[NDArray[np.floating]]  # log-mel clips [F, n_mels] of sounds that are no speech


class Augmentation(BaseModel):
    """How strongly clips are varied; each default was the best of those tried (docs/research/experiments.md)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed: float = 0.08  # tempo and, separately, pitch by a factor of 1 +- this
    gain_db: float = 9.0
    tilt_db: float = 3.0  # slope of the channel over the whole band, +- this
    telephone: float = 0.1  # share of clips cut to about 300..3400 Hz
    noise: float = 0.4  # share of clips with noise
    snr_db: tuple[float, float] = (3.0, 25.0)
    frequency_mask: int = 5  # bands, at most, twice
    time_mask: int = 6  # frames, at most, twice


class Augmenter:
    """Varies one clip at a time; two with the same seed and noises give the same sequence."""

    def __init__(self, how: Augmentation, noises: Noises, n_mels: int, seed: int, gate: GateSpec) -> None:
        self.how, self.gate = how, gate
        self.noises = [np.asarray(noise, np.float32) for noise in noises]
        self.rng = np.random.default_rng(seed)
        self.bands = np.arange(n_mels, dtype=np.float32)

    def __call__(
        self, features: NDArray[np.float32], level_db: NDArray[np.float32], speech: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
        """[F, n_mels], [F], [F] -> features [F', n_mels], speech [F'] and each frame's place in the original [F'].

        F' is near F.
        """
        how, rng = self.how, self.rng
        features, source = self._resample(features)
        level_db, speech = level_db[source], speech[source]
        gain = rng.uniform(-how.gain_db, how.gain_db)
        features = features + np.float32(gain * LOG_PER_DB) + self._channel()
        if rng.random() < how.noise:
            features, speech = self._add_noise(features, level_db + gain, speech)
        return self._mask(features), speech, source

    def _resample(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        tempo, pitch = 1.0 + self.rng.uniform(-self.how.speed, self.how.speed, 2)
        at = np.arange(0.0, len(features) - 1.0, tempo)
        low = at.astype(np.int64)
        part = (at - low).astype(np.float32)[:, None]
        stretched = features[low] * (1.0 - part) + features[low + 1] * part
        # Above 1 kHz mel bands are logarithmic, 19 to the octave from band 24 on; below they are linear, so that
        # the same factor moves them in proportion to their frequency.
        per_octave = 19.0 * np.minimum((self.bands + 3.0) / 27.0, 1.0)
        moved = np.clip(self.bands + np.log2(pitch) * per_octave, 0, self.bands[-1])
        left = np.minimum(moved.astype(np.int64), len(self.bands) - 2)
        weight = (moved - left).astype(np.float32)
        warped = stretched[:, left] * (1.0 - weight) + stretched[:, left + 1] * weight
        return warped, low

    def _channel(self) -> NDArray[np.float32]:
        slope = self.rng.uniform(-self.how.tilt_db, self.how.tilt_db)
        curve = slope * (self.bands / self.bands[-1] - 0.5)
        if self.rng.random() < self.how.telephone:
            low, high = self.rng.uniform(2.0, 9.0), self.rng.uniform(56.0, 64.0)
            steep = self.rng.uniform(1.0, 5.0)
            curve = curve - steep * (np.maximum(low - self.bands, 0) + np.maximum(self.bands - high, 0))
        return np.asarray(curve * LOG_PER_DB, np.float32)

    def _add_noise(
        self, features: NDArray[np.float32], level_db: NDArray[np.float32], speech: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        noise = self._noise(len(features))
        voice = np.log(np.exp(features[speech]).mean() + 1e-10) if speech.any() else 0.0
        shift = voice - np.log(np.exp(noise).mean() + 1e-10)
        snr = self.rng.uniform(*self.how.snr_db)
        noise = noise + np.float32(shift - snr * LOG_PER_DB)
        if self.rng.random() < 0.4:  # the gate's floor has settled on the noise
            loud = level_db[speech]
            floor = 10 * np.log10(np.mean(10 ** (loud / 10)) + 1e-10) - snr if len(loud) else -99.0
            threshold = max(floor + self.gate.floor_margin_db, self.gate.min_dbfs)
            speech = hang_over(speech & (level_db > threshold), self.gate)
        else:  # the floor is still below it (it rises slowly): the gate takes all for speech
            speech = np.ones_like(speech)
        return np.logaddexp(features, noise), speech

    def _noise(self, frames: int) -> NDArray[np.float32]:
        if self.noises and self.rng.random() < 0.7:
            clip = self.noises[self.rng.integers(len(self.noises))]
            start = self.rng.integers(len(clip))
            return clip[(start + np.arange(frames)) % len(clip)]
        colour = self.rng.uniform(-20.0, 5.0) * LOG_PER_DB * self.bands / self.bands[-1]
        # A band's power in stationary noise is a mean of a few exponentials; gamma(3) is near that of 64 bands.
        return np.asarray(np.log(self.rng.gamma(3.0, 1 / 3, (frames, len(self.bands))) + 1e-4) + colour, np.float32)

    def _mask(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        fill = features.mean()
        for _ in range(2):
            if self.how.frequency_mask:
                width = int(self.rng.integers(self.how.frequency_mask + 1))
                start = self.rng.integers(len(self.bands) - width + 1)
                features[:, start : start + width] = fill
            if self.how.time_mask:
                width = int(self.rng.integers(min(self.how.time_mask, len(features)) + 1))
                start = self.rng.integers(len(features) - width + 1)
                features[start : start + width] = fill
        return features

"""Augmentation of log-mel clips: what calls do to speech, applied where it is cheap.

Everything works on log-mel frames, not on samples, so that each epoch varies each clip anew at a few
milliseconds a batch: speed, pitch, gain, channel, added noise, music on hold and the other side's echo (mel powers
add), lost packets and SpecAugment. The gate's mask follows: where noise covers the quiet parts of speech, the gate
would not have opened there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainer.data.preprocessing import Preprocessing
from trainer.data.speech import hang_over
from trainer.training.hold_music import hold_music
from undertone.acoustics.frames import HOPS_PER_SECOND, WINDOWS_PER_SECOND

LOG_PER_DB = float(np.log(10.0) / 10.0)

# In units of 2.5 ms packets of 20 ms and hops of 12.5 ms are whole numbers.
_UNITS_PER_SECOND = 400
_PACKET = _UNITS_PER_SECOND // 50
_HOP = _UNITS_PER_SECOND // HOPS_PER_SECOND
_WINDOW = round(_UNITS_PER_SECOND / WINDOWS_PER_SECOND)
_WEIGHTS = np.hanning(_WINDOW + 2)[1:-1] ** 2
_WEIGHTS /= _WEIGHTS.sum()
# An edge within a window spreads some of its power over all bands. With 0.003 the mean difference from features of
# speech that really lost packets is 0.0 where more than half of a window is gone, with none -0.4 (60 clips of CREMA-D).
_SPREAD = 0.003

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
    aside: float = 0.0  # share of clips with music on hold or, every other time, another voice under them
    aside_db: tuple[float, float] = (8.0, 25.0)
    loss: float = 0.0  # share of clips that lose packets
    lost: tuple[float, float] = (0.01, 0.1)  # of them, how many begin to be lost: one, two or three in a row
    frequency_mask: int = 5  # bands, at most, twice
    time_mask: int = 6  # frames, at most, twice


class Augmenter:
    """Varies one clip at a time; two with the same seed, noises and voices give the same sequence."""

    def __init__(
        self, how: Augmentation, noises: Noises, preprocessing: Preprocessing, seed: int, voices: Noises = ()
    ) -> None:
        self.how, self.gate, self.silence = how, preprocessing.gate, preprocessing.silence
        self.noises = [np.asarray(noise, np.float32) for noise in noises]
        self.voices = voices
        self.music = hold_music(preprocessing, seed) if how.aside else []
        self.rng = np.random.default_rng(seed)
        self.bands = np.arange(preprocessing.front_end.n_mels, dtype=np.float32)

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
            noise, snr = self._noise(len(features)), rng.uniform(*how.snr_db)
            features, speech = self._add(noise, snr, features, level_db + gain, speech)
        # Where these shares are 0 nothing is drawn: what is trained without them stays the same for its seed.
        if how.aside and rng.random() < how.aside:
            aside, snr = self._aside(len(features)), rng.uniform(*how.aside_db)
            features, speech = self._add(aside, snr, features, level_db + gain, speech)
        if how.loss and rng.random() < how.loss:
            features = self._lose(features)
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

    def _add(
        self,
        noise: NDArray[np.float32],
        snr: float,
        features: NDArray[np.float32],
        level_db: NDArray[np.float32],
        speech: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Noise of any level under speech, so many dB below it."""
        voice = np.log(np.exp(features[speech]).mean() + 1e-10) if speech.any() else 0.0
        shift = voice - np.log(np.exp(noise).mean() + 1e-10)
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
            return self._from_any(self.noises, frames)
        colour = self.rng.uniform(-20.0, 5.0) * LOG_PER_DB * self.bands / self.bands[-1]
        # A band's power in stationary noise is a mean of a few exponentials; gamma(3) is near that of 64 bands.
        return np.asarray(np.log(self.rng.gamma(3.0, 1 / 3, (frames, len(self.bands))) + 1e-4) + colour, np.float32)

    def _aside(self, frames: int) -> NDArray[np.float32]:
        echo = len(self.voices) and self.rng.random() < 0.5
        return self._from_any(self.voices if echo else self.music, frames)

    def _from_any(self, sounds: Noises, frames: int) -> NDArray[np.float32]:
        """So many frames of one of them, again and again from anywhere on."""
        clip = sounds[int(self.rng.integers(len(sounds)))]
        start = self.rng.integers(len(clip))
        return np.asarray(clip[(start + np.arange(frames)) % len(clip)], np.float32)

    def _lose(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        begins = self.rng.random(packets_of(len(features))) < self.rng.uniform(*self.how.lost)
        in_a_row = self.rng.integers(1, 4)
        return without(features, np.convolve(begins, np.ones(in_a_row))[: len(begins)] > 0, self.silence)

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


def packets_of(frames: int) -> int:
    """How many packets of 20 ms so many frames lie in, from the first one's first sample on."""
    return -(-(_HOP * (frames - 1) + _WINDOW) // _PACKET)


def without(features: NDArray[np.float32], lost: NDArray[np.bool_], silence: float) -> NDArray[np.float32]:
    """Log-mel [F, n_mels] as it were had these packets been lost, which are silence to the engine.

    A window then has the power of what is left of it, weighted by its squares (Parseval), of a log-mel no lower than
    `silence`. lost: [packets_of(F)].
    """
    units = _HOP * (len(features) - 1) + _WINDOW
    left = np.convolve(np.repeat(~lost, _PACKET)[:units], _WEIGHTS, "valid")[::_HOP, None].astype(np.float32)
    power = np.exp(features)
    spread = power.mean(axis=1, keepdims=True) * (_SPREAD * 4 * left * (1 - left))
    return np.asarray(np.maximum(np.log(power * left + spread + np.float32(1e-30)), silence), np.float32)

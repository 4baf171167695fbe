"""Music on hold: made here, for nobody's may be shipped, as log-mel frames that training lays under speech."""

import numpy as np
from numpy.typing import NDArray

from trainer.data.cache import compute
from trainer.data.preprocessing import Preprocessing
from undertone.acoustics.level import FULL_SCALE

PIECES, SECONDS = 16, 8
_RATE = 16_000
_SCALES = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 11))  # semitones over the root: triads and a seventh
_HARMONICS = np.arange(1, 9)


def hold_music(how: Preprocessing, seed: int) -> list[NDArray[np.float16]]:
    """Pieces of chords over a bass and a beat: log-mel [F, n_mels] each, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(PIECES):
        samples = (piece(rng) * (0.1 * FULL_SCALE)).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        found.append(compute(samples, how.front_end, how.gate).frames.astype(np.float16))
    return found


def piece(rng: np.random.Generator) -> NDArray[np.float64]:
    """One piece, float64 [n] at 16 kHz, of RMS 1."""
    sound = np.zeros(SECONDS * _RATE)
    beat = int(_RATE * rng.uniform(0.25, 0.7))
    bright, decay, drum = rng.uniform(0.8, 2.5), rng.uniform(1.0, 6.0), rng.uniform(0.0, 0.5)
    for number, start in enumerate(range(0, len(sound), beat)):
        if number % 4 == 0:
            root = rng.uniform(110.0, 330.0)
            chord = root * 2.0 ** (np.array(_SCALES[rng.integers(len(_SCALES))]) / 12)
        # Either the chord or one of its notes, an octave higher: a melody of a kind.
        notes = [*chord, root / 2] if number % 2 == 0 else [2 * rng.choice(chord)]
        at = np.arange(min(3 * beat, len(sound) - start)) / _RATE
        for note in notes:
            waves = np.sin(2 * np.pi * note * _HARMONICS[:, None] * at) / _HARMONICS[:, None] ** bright
            sound[start : start + len(at)] += np.exp(-decay * at) * waves.sum(axis=0)
        hit = rng.normal(size=min(beat // 4, len(sound) - start))
        sound[start : start + len(hit)] += drum * np.exp(-np.linspace(0, 6, len(hit))) * hit
    return sound / np.sqrt(np.mean(sound**2))

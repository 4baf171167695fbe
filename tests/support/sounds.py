"""Sounds for the tests: the project's own samples, and noise."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import SAMPLES
from undertone.acoustics.decode import expand, load


def speech(rate: int) -> NDArray[np.int16]:
    """About three seconds of one voice, int16 [n], recorded at `rate` Hz."""
    samples, _ = load(SAMPLES / ("angry.flac" if rate == 16000 else "phone.wav"))
    return samples[:, 0]


def noise(length: int, seed: int = 0) -> NDArray[np.int16]:
    """White noise over the whole range of int16 [length]."""
    return np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)


def real_speech(count: int) -> list[Path]:
    """Recordings of real voices from the folder that UNDERTONE_TEST_DATA names; skips the test where it is not set."""
    folder = os.environ.get("UNDERTONE_TEST_DATA")
    if not folder:
        pytest.skip("UNDERTONE_TEST_DATA names no folder of real speech")
    files = expand([Path(folder)])
    return files[:: max(len(files) // count, 1)][:count]

"""What a spectrogram shows: a tone in its band, silence, and nothing where nothing was in Kafka."""

import numpy as np
import pytest

from undertone.console.web.sound import Sound
from undertone.console.web.spectrum import BANDS, TOP_HZ, spectrum


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hertz", [300, 1_000, 3_400])
def test_a_tone_is_in_its_band_at_both_rates(rate: int, hertz: int) -> None:
    time = np.arange(3 * rate) / rate
    samples = (8_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)
    samples[rate : 2 * rate] = 0
    there = np.ones(len(samples), bool)
    there[2 * rate :] = False
    found = spectrum(Sound(samples, there), rate, rate // 20)
    assert (found.shape, found.dtype) == ((60, BANDS), np.uint8)
    tone, silence, unknown = found[:20], found[20:40], found[40:]
    # A band is two bins of 31.25 Hz, the first of which is left out.
    assert np.abs(tone.argmax(axis=1) - (hertz - 1.5 * 31.25) * BANDS / TOP_HZ).max() < 1
    assert tone.max(axis=1).min() > 200
    assert np.median(tone) < 60
    assert (silence == 1).all()
    assert (unknown == 0).all()


def test_a_voice_is_neither_black_nor_white() -> None:
    time = np.arange(8_000) / 8_000
    partials = [np.sin(2 * np.pi * 120 * number * time) / number for number in range(1, 30)]
    samples = (1_500 * np.sum(partials, axis=0)).astype(np.int16)
    found = spectrum(Sound(samples, np.ones(8_000, bool)), 8_000, 400)
    assert 60 < np.median(found) < 220
    assert (found == 255).mean() < 0.1

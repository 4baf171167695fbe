"""Pitch: known tones, speech against librosa's tracker, silence, and independence of the batch."""

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sounds import noise, speech
from undertone.acoustics.feature_stream import features_of
from undertone.acoustics.frames import block_samples
from undertone.acoustics.pitch import pitch_sums, track_pitch


def tone(hertz: float, rate: int) -> NDArray[np.int16]:
    """A window of a voice-like sound, ten harmonics, int16 [1, n]."""
    seconds = np.arange(block_samples(rate) + rate // 20) / rate
    wave = np.sum([np.sin(2 * np.pi * hertz * k * seconds) / k for k in range(1, 11)], axis=0)
    return (5000 * wave).astype(np.int16)[None]


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hertz", [80, 120, 200, 350])
def test_a_steady_voice_has_its_pitch(hertz: float, rate: int) -> None:
    np.testing.assert_allclose(track_pitch(tone(hertz, rate), rate), hertz, rtol=0.02)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_noise_silence_and_constants_have_none(rate: int) -> None:
    length = block_samples(rate) + rate // 20
    for window in (noise(length), np.zeros(length, np.int16), np.full(length, -32768, np.int16)):
        assert not track_pitch(window[None], rate).any()
        sums, voiced = pitch_sums(track_pitch(window[None], rate))
        assert (sums, voiced) == (0, 0)


def test_sums_make_the_mean() -> None:
    sums, voiced = pitch_sums(track_pitch(np.concatenate([tone(100, 8000), tone(100, 8000) * 0]), 8000))
    assert voiced.tolist() == [5, 0]
    assert np.exp(sums[0] / 5) == pytest.approx(100, rel=0.02)


def test_speech_agrees_with_librosas_tracker() -> None:
    samples = speech(16000)
    ours = features_of(samples, 16000, ["pitch", "voiced"])
    # pYIN's frame of 64 ms centred where ours is: 1024 samples that end with the hop.
    y = np.concatenate([np.zeros(824), samples / 32768])
    f0, voiced, _ = librosa.pyin(y, fmin=65, fmax=500, sr=16000, frame_length=1024, hop_length=200, center=False)
    both = voiced[: len(ours["voiced"])] & (ours["voiced"][:, 0] == 1)
    assert both.sum() > 30
    octaves = np.abs(np.log2(ours["pitch"][both, 0] / f0[: len(both)][both]))
    assert (octaves < 0.1).mean() > 0.9


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_window_gives_the_same_bits_in_any_batch(rate: int) -> None:
    windows = np.concatenate([tone(hertz, rate) for hertz in range(80, 400, 10)])
    whole = track_pitch(windows, rate)
    for batch in (0, 1, 2, 3, 7, 8, 31):
        assert np.array_equal(track_pitch(windows[:batch], rate), whole[:batch])


@pytest.mark.parametrize("rate", [8000, 16000])
def test_points_that_are_not_wanted_do_not_show_in_the_others(rate: int) -> None:
    windows = np.concatenate([tone(hertz, rate) for hertz in range(80, 400, 5)])
    whole, rng = track_pitch(windows, rate), np.random.default_rng(1)
    for share in (0, 0.1, 0.6, 0.9):
        wanted = rng.random(whole.shape) < share
        assert np.array_equal(track_pitch(windows, rate, wanted), whole * wanted)

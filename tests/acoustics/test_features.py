"""Features: parity with librosa on speech at 8 and 16 kHz, and the same frames however the samples are cut."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.librosa_reference import librosa_features, relative_errors
from tests.support.sounds import noise, real_speech, speech
from undertone.acoustics.decode import load
from undertone.acoustics.feature_stream import NAMES, FeatureStream, Frames, delta, features_of
from undertone.acoustics.features import feature_size
from undertone.acoustics.frames import hop_samples

PARITY = 1e-4
COMPARED = [name for name in NAMES if name != "voiced"]  # librosa has no such feature


@pytest.fixture(scope="module", params=[8000, 16000])
def both(request: pytest.FixtureRequest) -> tuple[Frames, dict[str, np.ndarray]]:
    """Our features and librosa's of the same speech."""
    samples = speech(request.param)
    return features_of(samples, request.param, NAMES), librosa_features(samples, request.param)


@pytest.mark.parametrize("name", COMPARED)
def test_parity_with_librosa(name: str, both: tuple[Frames, dict[str, np.ndarray]]) -> None:
    ours, reference = both
    assert relative_errors(ours[name], reference[name]).max() <= PARITY


@pytest.mark.parametrize("rate", [8000, 16000])
def test_parity_on_real_speech(rate: int) -> None:
    for path in real_speech(12):
        samples = load(path, rate)[0][:, 0]
        ours, reference = features_of(samples, rate, NAMES), librosa_features(samples, rate)
        # A frame that holds one sample of +-1 has no shortest period: all lags tie, and rounding picks one.
        lone = ours["rms"][:, 0] < 0.2 / 32768
        for name in COMPARED:
            errors = relative_errors(ours[name], reference[name])
            assert errors[~lone if name == "pitch" else ...].max() <= PARITY, (path, name)


def test_voiced_marks_the_frames_with_a_voice(both: tuple[Frames, dict[str, np.ndarray]]) -> None:
    ours, _ = both
    voiced = ours["voiced"][:, 0] == 1
    assert 0.1 < voiced.mean() < 0.9
    assert ours["intensity"][voiced].mean() > ours["intensity"][~voiced].mean() + 10


@pytest.mark.parametrize("rate", [8000, 16000])
def test_there_is_a_frame_for_each_whole_hop(rate: int) -> None:
    for length in (0, 1, hop_samples(rate), 3 * hop_samples(rate) - 1, 41 * hop_samples(rate) + 7):
        features = features_of(noise(length), rate, NAMES)
        assert {name: values.shape for name, values in features.items()} == {
            name: (length // hop_samples(rate), feature_size("mfcc" if "delta" in name else name, rate))
            for name in NAMES
        }


@settings(max_examples=25)
@given(st.lists(st.integers(0, 7000), max_size=12), st.sampled_from([8000, 16000]), st.integers(0, 12_000))
def test_any_cutting_gives_the_same_frames(cuts: list[int], rate: int, length: int) -> None:
    samples = np.concatenate([noise(length), speech(rate)[8000:16000]])
    whole = features_of(samples, rate, NAMES)
    stream = FeatureStream(rate, NAMES)
    places = np.cumsum(cuts, dtype=int)
    pieces = np.split(samples, places[places < samples.size])
    parts = [*(stream.feed(piece) for piece in pieces), stream.flush()]
    for name in NAMES:
        assert np.array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_frames_come_a_block_at_a_time_and_deltas_four_frames_later() -> None:
    samples = speech(8000)[:4000]
    assert len(FeatureStream(8000, ["rms"]).feed(samples)["rms"]) == 40
    assert len(FeatureStream(8000, ["rms", "mfcc_delta"]).feed(samples)["rms"]) == 36


def test_a_feature_does_not_depend_on_what_else_is_asked_for() -> None:
    samples = speech(16000)
    together = features_of(samples, 16000, NAMES)
    for name in NAMES:
        assert np.array_equal(features_of(samples, 16000, [name])[name], together[name])


@pytest.mark.parametrize("level", [0, 32767, -32768])
def test_constant_sound_gives_finite_numbers(level: int) -> None:
    features = features_of(np.full(5000, level, np.int16), 8000, NAMES)
    assert all(np.isfinite(values).all() for values in features.values())
    assert not features["voiced"][10:].any()
    if level == 0:
        assert (features["intensity"] == -120).all()
        np.testing.assert_allclose(features["mfcc_delta"], 0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("frames", [9, 10, 50])
def test_deltas_are_librosas_to_the_edges(order: int, frames: int) -> None:
    values = np.random.default_rng(1).standard_normal((frames, 3)).astype(np.float32)
    expected = librosa.feature.delta(values.astype(np.float64), width=9, order=order, axis=0)
    np.testing.assert_allclose(delta(values, order), expected, atol=1e-6)


def test_deltas_of_a_very_short_sound_are_zero() -> None:
    assert not delta(np.ones((8, 2), np.float32), 1).any()


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(ValueError, match="loudness"):
        FeatureStream(8000, ["rms", "loudness"])

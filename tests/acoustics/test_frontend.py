"""The front end: parity with librosa, independence of the batch, one path for offline and live, cleaning, silence."""

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.card import FrontEndSpec
from tests.support.sounds import noise, speech
from undertone.acoustics import cleaning
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, fft_samples, hop_samples, window_samples
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.spectrum import BINS

CLEANED = FrontEndSpec(
    context_frames=8, remove_dc=True, pre_emphasis=0.97, level_normalisation=True, spectral_gate_db=40.0
)
SPECS = [FrontEndSpec(), FrontEndSpec(context_frames=3), CLEANED]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_frames_are_librosas_log_mel(rate: int) -> None:
    samples = speech(rate)
    hop, n_fft = hop_samples(rate), fft_samples(rate)
    frames = FrontEnd(FrontEndSpec()).frames_of(samples, rate).reshape(-1, 64)[: samples.size // hop]
    y = np.concatenate([np.zeros(n_fft - hop), samples / 32768.0])[: n_fft - hop + len(frames) * hop]
    mel = librosa.feature.melspectrogram(
        y=y, sr=rate, n_fft=n_fft, hop_length=hop, center=False, n_mels=64, fmin=60, fmax=4000, norm=None
    )
    expected = np.log(np.maximum(mel.T / librosa.filters.get_window("hann", n_fft).sum() ** 2, 1e-10))
    np.testing.assert_allclose(frames, expected, rtol=1e-4)


def test_the_same_tone_looks_the_same_at_both_rates() -> None:
    seconds = np.arange(4 * 16000) / 16000
    tone = 8000 * np.sin(2 * np.pi * 1000 * seconds)
    front_end = FrontEnd(FrontEndSpec())
    high = front_end.frames_of(tone.astype(np.int16), 16000)
    low = front_end.frames_of(tone[::2].astype(np.int16), 8000)
    loud = high[1:] > np.log(1e-6)
    np.testing.assert_allclose(low[1:][loud], high[1:][loud], atol=0.01)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_window_gives_the_same_bits_in_any_batch(spec: FrontEndSpec, rate: int) -> None:
    front_end = FrontEnd(spec)
    windows = noise(32 * front_end.window_samples(rate)).reshape(32, -1)
    whole = front_end.compute(windows, rate)
    for batch in (1, 2, 3, 5, 7, 8, 9, 31):
        assert np.array_equal(front_end.compute(windows[-batch:], rate), whole[-batch:])


@pytest.mark.parametrize("spec", SPECS)
def test_offline_frames_are_the_blocks_of_a_live_stream(spec: FrontEndSpec) -> None:
    rate, front_end = 16000, FrontEnd(spec)
    samples = speech(rate)
    block, window = block_samples(rate), front_end.window_samples(rate)
    offline = front_end.frames_of(samples, rate)
    carried = np.zeros(window - block, np.int16)
    for k in range(samples.size // block):
        live = np.concatenate([carried, samples[k * block : (k + 1) * block]])
        assert np.array_equal(front_end.compute(live[None], rate)[0], offline[k])
        carried = live[block:]


def test_context_frames_are_the_frames_of_the_block_before() -> None:
    frames = FrontEnd(FrontEndSpec(context_frames=8)).frames_of(speech(8000), 8000)
    # Not to the bit: the matrix product rounds its last rows in another order.
    np.testing.assert_allclose(frames[1:, :8], frames[:-1, -8:], rtol=1e-6)


@given(st.integers(0, 9000))
def test_a_signal_of_any_length_fills_its_last_block_with_zeros(length: int) -> None:
    front_end, samples = FrontEnd(FrontEndSpec(context_frames=2)), noise(length)
    frames = front_end.frames_of(samples, 8000)
    assert frames.shape == (-(-length // 2000), 22, 64)
    whole = np.concatenate([samples, np.zeros(-length % 2000, np.int16)])
    assert np.array_equal(front_end.frames_of(whole, 8000), frames)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("level", [0, 1, 32767, -32768])
def test_silence_and_clipping_give_finite_numbers(spec: FrontEndSpec, level: int) -> None:
    front_end = FrontEnd(spec)
    frames = front_end.compute(np.full((2, front_end.window_samples(8000)), level, np.int16), 8000)
    assert np.isfinite(frames).all()


def test_digital_silence_is_the_log_floor() -> None:
    front_end = FrontEnd(FrontEndSpec())
    frames = front_end.compute(np.zeros((1, front_end.window_samples(8000)), np.int16), 8000)
    np.testing.assert_allclose(frames, np.log(1e-10), rtol=1e-6)


def test_windows_of_another_length_or_rate_are_refused() -> None:
    front_end = FrontEnd(FrontEndSpec())
    with pytest.raises(ValueError, match="need"):
        front_end.compute(np.zeros((1, 100), np.int16), 8000)
    with pytest.raises(ValueError, match="44100"):
        front_end.compute(np.zeros((1, 100), np.int16), 44100)


def test_a_window_holds_its_frames() -> None:
    assert window_samples(16000, BLOCK_FRAMES) == 19 * 200 + 512
    assert FrontEnd(FrontEndSpec(context_frames=8)).window_samples(8000) == 27 * 100 + 256


def test_dc_removal_takes_an_offset_away() -> None:
    frames = noise(512).astype(np.float32).reshape(2, 256)
    np.testing.assert_allclose(cleaning.remove_dc(frames + 5000), cleaning.remove_dc(frames), atol=0.01)
    front_end = FrontEnd(FrontEndSpec(remove_dc=True, fmin_hz=0.0))
    hum = np.full((1, front_end.window_samples(8000)), 5000, np.int16)
    np.testing.assert_allclose(front_end.compute(hum, 8000), np.log(1e-10), rtol=1e-6)


def test_level_normalisation_makes_quiet_and_loud_speech_equal() -> None:
    samples = speech(8000)[4000:]
    front_end = FrontEnd(FrontEndSpec(level_normalisation=True))
    loud, quiet = (front_end.frames_of((samples // divisor).astype(np.int16), 8000) for divisor in (1, 4))
    audible = loud[1:6] > np.log(1e-7)
    np.testing.assert_allclose(quiet[1:6][audible], loud[1:6][audible], atol=0.1)
    plain = FrontEnd(FrontEndSpec())
    assert abs(plain.frames_of(samples, 8000) - plain.frames_of(samples // 4, 8000))[1:6][audible].mean() > 2.5


def test_pre_emphasis_is_the_filters_response() -> None:
    impulse = np.zeros(2 * (BINS - 1))
    impulse[:2] = 1, -0.97
    np.testing.assert_allclose(cleaning.pre_emphasis(0.97), np.abs(np.fft.rfft(impulse)) ** 2, rtol=1e-9)


def test_the_spectral_gate_flattens_what_lies_under_the_speech() -> None:
    samples = speech(8000)
    frames = FrontEnd(FrontEndSpec(spectral_gate_db=30.0)).frames_of(samples, 8000)
    plain = FrontEnd(FrontEndSpec()).frames_of(samples, 8000)
    peak = plain.max(axis=(1, 2), keepdims=True)
    floor = np.maximum(peak - np.float32(3 * np.log(10)), np.float32(np.log(1e-10)))
    np.testing.assert_allclose(frames, np.maximum(plain, floor), rtol=1e-4)

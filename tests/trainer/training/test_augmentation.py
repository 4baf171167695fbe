"""What calls do to speech, done to log-mel frames: as the engine's own features of such calls have it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.paths import SAMPLES
from tests.support.voices import utterance
from trainer.data.cache import compute
from trainer.data.preprocessing import Preprocessing
from trainer.training.augmentation import packets_of, without
from trainer.training.hold_music import PIECES, SECONDS, hold_music
from trainer.training.network import CONTEXT_FRAMES
from undertone.acoustics.decode import load

HOW = Preprocessing.default(CONTEXT_FRAMES)
PACKET = 320  # samples of 20 ms


@pytest.fixture(scope="module")
def speech() -> NDArray[np.int16]:
    """Of the bundled call, which speaks as people do: pulses alone, without a room, have gaps as long as packets."""
    return np.rint(load(SAMPLES / "call.flac", 16_000)[0][: 30 * 16_000, 0]).astype(np.int16)


@pytest.mark.parametrize(("in_a_row", "unexplained"), [(1, 0.6), (2, 0.35), (3, 0.25)])
def test_frames_without_packets_are_those_of_sound_without_them(
    speech: NDArray[np.int16], in_a_row: int, unexplained: float
) -> None:
    whole = compute(speech, HOW.front_end, HOW.gate)
    lost = np.zeros(packets_of(len(whole.frames)), bool)
    for first in np.random.default_rng(in_a_row).choice(len(lost) - 3, 150, replace=False):
        lost[first : first + in_a_row] = True
    # The first frame's window begins a packet before the first sample.
    gone = np.repeat(lost, PACKET)[PACKET : PACKET + len(speech)]
    real = compute(np.where(gone, 0, speech).astype(np.int16), HOW.front_end, HOW.gate).frames
    made = without(whole.frames, lost, HOW.silence)
    touched = np.abs(whole.frames - real).max(axis=1) > 0.1
    error, before = (made - real)[touched & whole.raw], (whole.frames - real)[touched & whole.raw]
    assert len(error) > 100
    assert abs(error.mean()) < 0.35
    assert np.abs(error).mean() < unexplained * np.abs(before).mean()
    assert np.abs(made - real)[~touched].mean() < 0.05


def test_all_packets_lost_is_silence() -> None:
    frames = compute(utterance("satisfied", 0, 0), HOW.front_end, HOW.gate).frames
    silent = without(frames, np.ones(packets_of(len(frames)), bool), HOW.silence)
    np.testing.assert_array_equal(silent, np.float32(HOW.silence))
    kept = without(frames, np.zeros(packets_of(len(frames)), bool), HOW.silence)
    np.testing.assert_allclose(kept, frames, atol=1e-3)


def test_hold_music_is_sound_and_the_same_for_its_seed() -> None:
    pieces, again, others = (hold_music(HOW, seed) for seed in (1, 1, 2))
    assert len(pieces) == PIECES
    for piece, same, other in zip(pieces, again, others, strict=True):
        assert abs(len(piece) - 80 * SECONDS) <= 20
        np.testing.assert_array_equal(piece, same)
        assert not np.array_equal(piece, other)
        assert np.asarray(piece, np.float32).max(axis=1).min() > HOW.silence + 3  # never silent
        assert piece.std(axis=0).mean() > 0.3  # nor the same all the time

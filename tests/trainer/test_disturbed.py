"""Files as bad lines give them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.voices import RATE, utterance
from trainer.evaluation.disturbed import on_bad_lines


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / f"{number}.wav" for number in range(12)]
    for number, path in enumerate(paths):
        soundfile.write(path, utterance("puzzled", number % 4, number, seconds=2.0), RATE, subtype="PCM_16")
    return paths


def test_bad_lines_do_what_they_say_and_the_same_for_their_seed(files: list[Path]) -> None:
    clean = [soundfile.read(path)[0] for path in files]
    found = {}
    for name, written in on_bad_lines(files, files[::-1], seed=3):
        assert [len(soundfile.read(path)[0]) for path in written] == [len(sound) for sound in clean]
        found[name] = [soundfile.read(path)[0] for path in written]
    again = {
        name: [soundfile.read(path)[0] for path in written] for name, written in on_bad_lines(files, files[::-1], 3)
    }
    assert list(found) == ["packet loss 1 in 10", "echo 15 dB", "hold music 10 dB"]
    for name, sounds in found.items():
        assert all(np.array_equal(one, two) for one, two in zip(sounds, again[name], strict=True))

    lost = np.concatenate(
        [np.all(one[: len(one) // 320 * 320].reshape(-1, 320) == 0, axis=1) for one in found["packet loss 1 in 10"]]
    )
    assert 0.06 < lost.mean() < 0.14
    # What is lost is silent, and all else is as it was.
    for sound, whole in zip(found["packet loss 1 in 10"], clean, strict=True):
        assert np.array_equal(sound[sound != 0], whole[sound != 0])
    for name, below_db in (("echo 15 dB", 15), ("hold music 10 dB", 10)):
        # Of the whole file, whose pauses count for nothing in the speech's level.
        added = [
            20 * np.log10(np.std(whole) / np.std(sound - whole))
            for sound, whole in zip(found[name], clean, strict=True)
        ]
        assert np.median(added) == pytest.approx(below_db, abs=3.5)

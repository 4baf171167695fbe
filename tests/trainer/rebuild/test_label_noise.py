"""Labels that were swapped on purpose are found, and others are not accused without need."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.voices import write_corpus
from trainer.data.corpora import load
from trainer.data.dataset import Dataset, read
from trainer.data.preprocessing import Preprocessing
from trainer.rebuild.label_noise import FEWEST, MOST, find_noise, spectra
from trainer.training.embedding import embed
from trainer.training.network import restored
from trainer.training.weights import load_start

MOODS = ("frustrated", "puzzled", "satisfied")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    corpus = write_corpus(tmp_path_factory.mktemp("noise"), MOODS, range(8), takes=3)
    return read(load([corpus]), Preprocessing.of(load_start().card))


@pytest.fixture(scope="module")
def features(heard: Dataset) -> NDArray[np.float32]:
    return spectra(heard.clips(range(len(heard.utterances))))


def swapped(truth: list[str], rows: set[int]) -> list[str]:
    return [MOODS[(MOODS.index(mood) + 1) % 3] if row in rows else mood for row, mood in enumerate(truth)]


@pytest.mark.slow
def test_of_swapped_labels_five_in_six_are_found_with_what_they_sound_like(
    heard: Dataset, features: NDArray[np.float32]
) -> None:
    clips = heard.clips(range(len(heard.utterances)))
    start = load_start()
    features = np.hstack([features, embed(restored(start.shape, start.weights), clips).reshape(len(clips), -1)])
    truth = [utterance.emotion for utterance in heard.utterances]
    assert len(truth) == 72
    found = accused = 0
    for draw in range(6):
        wrong = set(np.random.default_rng(draw).permutation(len(truth))[:6].tolist())
        noise = find_noise(features, swapped(truth, wrong), heard.groups)
        assert noise
        assert noise.judged == 72
        assert noise.agreement > 0.8
        doubts = {doubt.row: doubt for doubt in noise.doubts}
        assert noise.found == len(doubts)
        assert all(doubts[row].looks_like == truth[row] for row in wrong & doubts.keys())
        assert all(doubt.said_probability < doubt.other_probability for doubt in noise.doubts)
        found += len(wrong & doubts.keys())
        accused += len(doubts.keys() - wrong)
    # Of 36. With the network that shipped before 33 were found and 4 accused, with this one 31 and none.
    assert found >= 30
    assert accused <= 4


def test_right_labels_are_left_alone(heard: Dataset, features: NDArray[np.float32]) -> None:
    noise = find_noise(features, [utterance.emotion for utterance in heard.utterances], heard.groups)
    assert noise
    assert noise.found <= 2


def test_what_one_call_alone_is_labelled_with_is_not_doubted(heard: Dataset, features: NDArray[np.float32]) -> None:
    said = [
        "proud" if utterance.emotion == "puzzled" and speaker == heard.groups[0] else utterance.emotion
        for utterance, speaker in zip(heard.utterances, heard.groups, strict=True)
    ]
    noise = find_noise(features, said, heard.groups)
    assert noise
    assert noise.judged == 72 - said.count("proud")
    assert all(said[doubt.row] != "proud" for doubt in noise.doubts)


def test_too_few_tell_nothing(heard: Dataset, features: NDArray[np.float32]) -> None:
    said = [utterance.emotion for utterance in heard.utterances]
    few = FEWEST - 1
    assert find_noise(features[:few], said[:few], heard.groups[:few]) is None
    assert find_noise(features, said, ["one", "two", "three"] * 24) is None
    assert find_noise(features, ["proud"] * len(said), heard.groups) is None


def test_a_list_is_no_longer_than_a_person_looks_through() -> None:
    rng = np.random.default_rng(0)
    noise = find_noise(
        rng.normal(size=(600, 4)), rng.choice(MOODS, 600).tolist(), [f"call-{k % 60}" for k in range(600)]
    )
    assert noise
    assert len(noise.doubts) == MOST < noise.found
    assert noise.agreement < 0.5


def test_the_same_labels_give_the_same_list(heard: Dataset, features: NDArray[np.float32]) -> None:
    truth = [utterance.emotion for utterance in heard.utterances]
    said = swapped(truth, {3, 40})
    assert find_noise(features, said, heard.groups) == find_noise(features, said, heard.groups)

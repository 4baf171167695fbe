"""Whoever is unlike those on whom a network was calibrated is not called with their confidence."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.support.made_clips import HOW, RECIPE, SHAPE, make_clips
from trainer.data.clips import Clips, concatenate
from trainer.training.fit import fit, predict
from trainer.training.network import network_weights, restored
from trainer.training.novelty import fit_novelty

SPEAKERS = [f"speaker {number // 20}" for number in range(160)]
ONE = ["one"] * 160


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return fit(make_clips(32, seed=1), None, SHAPE, RECIPE, seed=3).model


@pytest.fixture
def model(trained: keras.Model) -> keras.Model:
    return restored(SHAPE, network_weights(trained))


def through_a_wall(clips: Clips) -> Clips:
    """The same, from a room that no clip of the calibration is from."""
    muffled = [np.where(np.arange(64) % 16 < 8, one, one * 0.6 - 10).astype(np.float32) for one in clips.features]
    return dataclasses.replace(clips, features=muffled)


def logits(model: keras.Model, clips: Clips) -> np.ndarray:
    return np.log(predict(model, clips)[0] + 1e-12)


def margin(model: keras.Model, clips: Clips) -> np.ndarray:
    return np.abs(np.diff(logits(model, clips), axis=1)[:, 0])


def test_what_is_familiar_keeps_its_logits_and_what_is_not_loses(model: keras.Model) -> None:
    same, other = make_clips(80, seed=9), through_a_wall(make_clips(80, seed=9))
    before = [(logits(model, clips), margin(model, clips)) for clips in (same, other)]
    fit_novelty(model, make_clips(160, seed=5), SPEAKERS, ONE)
    after = [(logits(model, clips), margin(model, clips)) for clips in (same, other)]
    for (known, _), (now, _) in zip(before, after, strict=True):
        np.testing.assert_array_equal(known.argmax(axis=1), now.argmax(axis=1))
    (_, same_before), (_, other_before) = before
    (_, same_after), (_, other_after) = after
    # Three in four of those that it was fitted on are left as they were.
    assert np.mean(np.isclose(same_after, same_before, rtol=1e-3)) > 0.6
    assert np.median(same_after / same_before) > 0.95
    assert (other_after < 0.8 * other_before).all()


def test_a_small_corpus_is_as_familiar_as_a_large_one(model: keras.Model) -> None:
    few, many = through_a_wall(make_clips(40, seed=7)), make_clips(160, seed=5)
    before = margin(model, few)
    speakers = [*SPEAKERS, *(f"another {number // 10}" for number in range(40))]
    fit_novelty(model, concatenate([many, few]), speakers, [*ONE, *["two"] * 40])
    assert np.mean(np.isclose(margin(model, few), before, rtol=1e-3)) > 0.6


def test_of_too_few_clips_nothing_is_novel(model: keras.Model) -> None:
    before = network_weights(model)
    fit_novelty(model, make_clips(15, seed=5), SPEAKERS[:15], ONE[:15])
    for name, weight in network_weights(model).items():
        np.testing.assert_array_equal(weight, before[name], err_msg=name)


def test_one_speaker_and_clips_without_speech_are_no_trouble(model: keras.Model) -> None:
    clips = make_clips(40, seed=5)
    silent = Clips(
        clips.features[:1],
        clips.level_db[:1],
        [np.zeros_like(clips.raw[0])],
        clips.targets[:1],
        clips.allowed[:1],
        clips.weights[:1],
        HOW,
    )
    fit_novelty(model, concatenate([clips, silent]), ONE[:41], ONE[:41])
    usual = network_weights(model)["novelty/usual"]
    assert 0 < usual[0] < 100
    assert np.isfinite(logits(model, clips)).all()


def test_training_goes_on_from_the_network_and_not_from_what_was_familiar_to_it(model: keras.Model) -> None:
    initial = network_weights(model)["novelty/usual"]
    fit_novelty(model, make_clips(160, seed=5), SPEAKERS, ONE)
    start = network_weights(model)
    assert start["novelty/usual"] < initial
    short = RECIPE.model_copy(update={"epochs": 1})
    after = network_weights(fit(make_clips(32, seed=1), None, SHAPE, short, seed=3, init=start).model)
    np.testing.assert_array_equal(after["novelty/usual"], initial)
    np.testing.assert_array_equal(after["novelty/axes"], np.zeros_like(start["novelty/axes"]))

"""Training: learns what is there, the same way each time, from nothing or from earlier weights."""

import dataclasses

import numpy as np
import pytest

from tests.support.made_clips import HOW, RECIPE, SHAPE, make_clips
from trainer.data.clips import Clips, concatenate, one_hot
from trainer.data.speech import hang_over, segments, step_mask
from trainer.distillation.soft_targets import FRAME_HINTS, blend, fit_frame_map, fit_hints, soft_targets
from trainer.training.augmentation import Augmentation, Augmenter
from trainer.training.batches import Batches
from trainer.training.fit import fit, predict, uar_of
from trainer.training.network import network_weights


@pytest.fixture(scope="module")
def train() -> Clips:
    return make_clips(32, seed=1)


def test_learns_and_repeats_itself_to_the_bit(train: Clips) -> None:
    heard: list[int] = []
    results = [fit(train, train, SHAPE, RECIPE, seed=3, on_epoch=lambda e: heard.append(e.epoch)) for _ in range(2)]
    assert heard == [1, 2, 3, 4, 5, 6] * 2
    probabilities, _ = predict(results[0].model, make_clips(20, seed=9))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert uar_of(probabilities, make_clips(20, seed=9)) >= 0.9
    first, second = (network_weights(result.model) for result in results)
    for name, weight in first.items():
        np.testing.assert_array_equal(weight, second[name], err_msg=name)


def test_new_labels_start_from_earlier_weights(train: Clips) -> None:
    short = RECIPE.model_copy(update={"epochs": 1})
    trunk = network_weights(fit(train, None, SHAPE, short, seed=1).model)
    three = Clips(
        train.features,
        train.level_db,
        train.raw,
        one_hot(np.arange(32) % 3, 3),
        np.ones((32, 3), np.float32),
        train.weights,
        HOW,
    )
    shape = SHAPE.model_copy(update={"n_classes": 3})
    still = short.model_copy(update={"learning_rate": 0.0, "ema": 0.0})
    after = network_weights(fit(three, None, shape, still, seed=1, init=trunk).model)
    assert after["head/bias"].shape == (3,)
    for name in trunk:
        if not name.startswith("head/") and "moving" not in name:
            np.testing.assert_array_equal(after[name], trunk[name], err_msg=name)


def test_classes_that_a_corpus_does_not_know_are_not_taught(train: Clips) -> None:
    shape = SHAPE.model_copy(update={"n_classes": 3})
    allowed = np.tile(np.array([1, 1, 0], np.float32), (32, 1))
    clips = Clips(
        train.features,
        train.level_db,
        train.raw,
        np.pad(train.targets, ((0, 0), (0, 1))),
        allowed,
        train.weights,
        HOW,
    )
    result = fit(clips, None, shape, RECIPE.model_copy(update={"epochs": 1}), seed=1)
    assert np.isfinite(result.history[0].loss)
    assert np.abs(network_weights(result.model)["head/bias"][2]) < 1e-6


def test_hints_are_learned_and_not_shipped(train: Clips) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(160, 200)).astype(np.float32)
    hints = fit_hints(embeddings)(embeddings[:32])
    clips = dataclasses.replace(train, hints=hints)
    model = fit(clips, None, SHAPE, RECIPE.model_copy(update={"epochs": 1}), seed=1).model
    assert not [name for name in network_weights(model) if name.startswith("hints")]
    assert concatenate([clips, clips.subset(np.arange(4))]).hints.shape == (36, 128)  # type: ignore[union-attr]
    assert concatenate([clips, train]).hints is None


def test_frame_hints_follow_the_frames_that_they_belong_to(train: Clips) -> None:
    # Each step's hint is the number of the step; a batch cut, stretched and shifted at random must still find them.
    numbered = [np.arange(len(x) // 4, dtype=np.float16)[:, None] for x in train.features]
    numbered[0][:] = np.nan  # nobody listened to this one
    clips = dataclasses.replace(
        train,
        features=[np.repeat(np.arange(len(x), dtype=np.float32)[:, None], 64, 1) for x in train.features],
        frame_hints=numbered,
    )
    still = Augmentation(
        speed=0, gain_db=0, tilt_db=0, telephone=0, noise=0, aside=0, loss=0, frequency_mask=0, time_mask=0
    )
    batches = Batches(clips, SHAPE, RECIPE.model_copy(update={"augmentation": still}), (), seed=3)
    for index in range(len(batches)):
        (features, speech), (_, hints), (_, listened) = batches[index]
        assert listened.sum() == pytest.approx(1.0)
        assert not listened[speech == 0].any()
        frame = features[:, SHAPE.context_frames :: 4, 0][:, : speech.shape[1]]
        heard = listened > 0
        assert (np.abs(frame[heard] / 4 - 1 - hints[..., 0][heard]) <= 1).all()


def test_frame_hints_are_learned_and_not_shipped(train: Clips) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(len(x) // 2, 120)) + np.linspace(0, 5, 120) for x in train.features]
    to_hints = fit_frame_map(frames)
    hints = [to_hints(part)[::2].astype(np.float16) for part in frames]
    assert hints[0].shape[1] == FRAME_HINTS
    assert np.abs(np.concatenate(hints).mean()) < 0.1
    short = RECIPE.model_copy(update={"epochs": 4, "ema": 0.0})
    taught = dataclasses.replace(train, frame_hints=hints)
    result = fit(taught, None, SHAPE, short, seed=1)
    losses = [one.loss for one in result.history]
    assert losses[-1] < losses[0]
    assert not [name for name in network_weights(result.model) if "frame" in name]
    assert concatenate([taught, train]).frame_hints is None
    assert len(concatenate([taught, taught]).frame_hints or ()) == 64


def test_soft_targets_come_from_probes_that_have_not_heard_the_speaker() -> None:
    # A speaker's clips carry his number as a cue and labels that contradict the others': a probe that had heard
    # him would follow them, one that had not follows the cue that the rest share.
    rng = np.random.default_rng(0)
    speakers = np.repeat(np.arange(5), 20)
    truth = np.tile([0, 1], 50)
    cue = np.stack([truth * 10.0, *(speakers == s for s in range(5))], axis=1) + rng.normal(0, 0.1, (100, 6))
    labels = np.where(speakers == 0, 1 - truth, truth)
    soft = soft_targets(cue, labels, speakers, 2)
    np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)
    assert (soft[speakers == 0].argmax(1) == truth[speakers == 0]).all()
    assert (blend(one_hot(labels, 2), soft, 0.4).argmax(1) == labels).all()


def test_segments_are_cut_where_the_engine_cuts_them() -> None:
    raw = np.zeros(400, bool)
    raw[40:80] = True
    raw[127:160] = True  # 47 silent frames, 27 of them behind the hang-over: the same segment
    raw[208:240] = True  # 48: another
    raw[300:310] = True  # under 200 ms: a click
    assert [(found.start, found.end) for found in segments(raw, HOW.gate, HOW.segments)] == [(10, 45), (52, 65)]
    (none,) = segments(np.zeros(40, bool), HOW.gate, HOW.segments)
    assert (none.start, none.end, none.mask.sum()) == (0, 1, 0)
    assert step_mask(np.array([0, 0, 0, 1, 0, 0, 0, 0], bool)).tolist() == [1.0, 0.0]


def test_augmentation_keeps_shapes_and_repeats_with_its_seed(train: Clips) -> None:
    noises = [np.full((50, 64), -9.0, np.float16)]
    outputs = []
    for _ in range(2):
        augment = Augmenter(Augmentation(noise=1.0, aside=1.0, loss=1.0), noises, HOW, 5, train.features)
        outputs.append([augment(train.features[i], train.level_db[i], train.speech[i]) for i in range(8)])
    for (features, speech, source), (again, _, _) in zip(*outputs, strict=True):
        assert features.dtype == np.float32
        assert np.isfinite(features).all()
        assert len(features) == len(speech) == len(source)
        np.testing.assert_array_equal(features, again)


def test_hang_over_is_the_gates() -> None:
    raw = np.zeros(60, bool)
    raw[[10, 15]] = True
    assert np.flatnonzero(hang_over(raw, HOW.gate)).tolist() == list(range(10, 36))

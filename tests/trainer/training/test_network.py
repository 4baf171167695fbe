"""The network's two faces are one network, and its flatbuffer is the same again."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from schemas.card import STEPS_PER_BLOCK
from trainer.packaging.export import BATCH_SIZES, to_tflite
from trainer.training.network import (
    FRAMES_PER_BLOCK,
    NetworkShape,
    build_block_model,
    build_sequence_model,
    join_members,
    network_weights,
    restore_weights,
    set_normalisation,
)

SHAPE = NetworkShape(n_classes=5, dense=112, members=2)


def make_model(seed: int = 0) -> keras.Model:
    """Untrained, but with normalisation, batch statistics and novelty far from their initial zeros and ones."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = build_sequence_model(SHAPE)
    set_normalisation(model, rng.normal(-9, 1, SHAPE.n_mels), rng.uniform(2, 4, SHAPE.n_mels))
    for weight in model.weights:
        if "moving_mean" in weight.path:
            weight.assign(rng.normal(0, 0.2, weight.shape))
        if "moving_variance" in weight.path:
            weight.assign(rng.uniform(0.5, 2, weight.shape))
    for layers in model.undertone_members:
        axes, _ = np.linalg.qr(rng.normal(size=layers.novelty.axes.shape[::-1]))
        layers.novelty.mean.assign(rng.normal(0, 0.3, layers.novelty.mean.shape))
        layers.novelty.axes.assign(axes.T)
        layers.novelty.usual.assign([0.4])
    return model


def make_input(batch: int, steps: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = rng.normal(-9, 3, (batch, SHAPE.context_frames + 4 * steps, SHAPE.n_mels)).astype(np.float32)
    return features, (rng.random((batch, steps)) > 0.3).astype(np.float32)


def blocks_of(features: np.ndarray, speech: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    size = SHAPE.context_frames + FRAMES_PER_BLOCK
    return [
        (features[:, 4 * step : 4 * step + size], speech[:, step : step + STEPS_PER_BLOCK])
        for step in range(0, speech.shape[1], STEPS_PER_BLOCK)
    ]


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return make_model()


def test_block_by_block_equals_the_whole_clip(model: keras.Model) -> None:
    features, speech = make_input(batch=3, steps=30)
    whole = np.asarray(model([features, speech], training=False))
    block = build_block_model(model, 3)
    state = np.zeros((3, SHAPE.state_size), np.float32)
    for number, (frames, mask) in enumerate(blocks_of(features, speech)):
        out = block([frames, mask, state], training=False)
        state = np.asarray(out["state"])
        np.testing.assert_allclose(out["logits"], whole[:, STEPS_PER_BLOCK * (number + 1) - 1], atol=1e-5)


def test_masked_steps_leave_the_state_as_it_was(model: keras.Model) -> None:
    features, speech = make_input(batch=2, steps=STEPS_PER_BLOCK)
    state = np.random.default_rng(2).random((2, SHAPE.state_size), np.float32)
    out = build_block_model(model, 2)([features, np.zeros_like(speech), state], training=False)
    np.testing.assert_array_equal(out["state"], state)


def test_what_stands_behind_a_mask_does_not_matter(model: keras.Model) -> None:
    features, speech = make_input(batch=2, steps=20)
    speech[:, 12:] = 0.0
    longer = np.asarray(model([features, speech], training=False))[:, -1]
    shorter = np.asarray(model([features[:, : SHAPE.context_frames + 48], speech[:, :12]], training=False))[:, -1]
    np.testing.assert_allclose(longer, shorter, atol=1e-6)


@pytest.mark.parametrize("batch", BATCH_SIZES)
def test_flatbuffer_equals_keras(model: keras.Model, flatbuffer: bytes, batch: int) -> None:
    runner = Interpreter(model_content=flatbuffer, num_threads=1).get_signature_runner(f"batch_{batch}")
    block = build_block_model(model, batch)
    features, speech = make_input(batch, steps=20)
    ours = theirs = np.zeros((batch, SHAPE.state_size), np.float32)
    for frames, mask in blocks_of(features, speech):
        expected = block([frames, mask, theirs], training=False)
        out = runner(features=frames, speech=mask, state=ours)
        ours, theirs = out["state"], np.asarray(expected["state"])
        np.testing.assert_allclose(out["logits"], expected["logits"], atol=1e-4)
        # Sums grow with what was heard, so their error is relative.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def flatbuffer(model: keras.Model) -> bytes:
    return to_tflite(model)


def test_flatbuffer_holds_builtin_ops_and_one_copy_of_the_weights(model: keras.Model, flatbuffer: bytes) -> None:
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert not [name for name in names if "Flex" in name or "CUSTOM" in name.upper()]
    assert len(flatbuffer) < 4 * model.count_params() + 200_000


def test_xnnpack_takes_a_block_in_one_piece(flatbuffer: bytes) -> None:
    """In six pieces, with operations between that it does not have, one stream takes a third longer."""
    interpreter = Interpreter(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    assert [op["op_name"] for op in interpreter._get_ops_details()].count("DELEGATE") == 1


def test_int8_is_a_third_of_the_size_and_close(model: keras.Model, flatbuffer: bytes) -> None:
    small = to_tflite(model, (1,), int8=True)
    assert len(small) < len(flatbuffer) / 2
    features, speech = make_input(1, STEPS_PER_BLOCK)
    inputs = {"features": features, "speech": speech, "state": np.zeros((1, SHAPE.state_size), np.float32)}
    answers = [
        Interpreter(model_content=content, num_threads=1).get_signature_runner("batch_1")(**inputs)["logits"]
        for content in (flatbuffer, small)
    ]
    assert np.abs(answers[0] - answers[1]).max() < 0.2


def test_weights_survive_a_round_trip_and_a_new_head(model: keras.Model) -> None:
    saved = network_weights(model)
    same = make_model(seed=7)
    restore_weights(same, saved)
    inputs = make_input(1, 8)
    np.testing.assert_array_equal(same(inputs), model(inputs))
    other = build_sequence_model(SHAPE.model_copy(update={"n_classes": 2}))
    restore_weights(other, saved, skip=("head",))
    np.testing.assert_array_equal(network_weights(other)["gru/gru_cell/kernel"], saved["gru/gru_cell/kernel"])


def test_networks_of_before_there_was_novelty_find_nothing_novel(model: keras.Model) -> None:
    saved = {name: weight for name, weight in network_weights(model).items() if "novelty" not in name}
    same = build_sequence_model(SHAPE)
    restore_weights(same, saved)
    pooled = np.random.default_rng(3).normal(0, 10, (4, 2 * SHAPE.dense)).astype(np.float32)
    for layers, known in zip(same.undertone_members, model.undertone_members, strict=True):
        np.testing.assert_array_equal(layers.novelty(pooled), np.ones((4, 1)))
        assert (np.asarray(known.novelty(pooled)) > 1).all()
    saved.pop("head/bias")
    with pytest.raises(KeyError):
        restore_weights(same, saved)


def test_members_trained_apart_are_joined_into_their_mean() -> None:
    alone = SHAPE.model_copy(update={"members": 1})
    parts = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        parts.append(build_sequence_model(alone))
    both = build_sequence_model(SHAPE)
    restore_weights(both, join_members([network_weights(part) for part in parts]))
    inputs = make_input(2, 8)
    mean = sum(np.asarray(part(inputs)) for part in parts) / 2
    np.testing.assert_allclose(both(inputs), mean, atol=1e-6)


def test_limits(model: keras.Model) -> None:
    assert model.count_params() <= 300_000
    assert SHAPE.context_frames <= 8
    assert SHAPE.state_size <= 1024

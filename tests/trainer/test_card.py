"""The card rules both: change it, and the trainer's clips and the worker's engine follow alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.card import CalibrationSpec, FrontEndSpec, GateSpec, SegmentSpec
from schemas.events import Segment
from tests.support.streams import cut
from tests.support.voices import RATE, utterance
from trainer.data.cache import compute
from trainer.data.clips import Clips, one_hot
from trainer.data.preprocessing import Preprocessing
from trainer.data.speech import hang_over, segments
from trainer.packaging.bundle import make_bundle
from trainer.training.augmentation import Augmentation, Augmenter
from trainer.training.batches import Batches
from trainer.training.fit import predict
from trainer.training.network import CONTEXT_FRAMES, NetworkShape, build_sequence_model, set_normalisation
from trainer.training.recipe import Recipe
from undertone.acoustics.frames import block_samples, hop_samples
from undertone.acoustics.gate import Gate
from undertone.acoustics.level import sum_squares
from undertone.analysis.prediction import Prediction, predict_files
from undertone.inference.bundle import DEFAULT_BUNDLE, Bundle, read_bundle
from undertone.inference.engine import Engine
from undertone.inference.model import Model

DEFAULT = Preprocessing.default(CONTEXT_FRAMES)
# What a card may say, each far from the default.
CARDS: dict[str, Preprocessing] = {
    "as it ships": DEFAULT,
    "no hang-over": replace(DEFAULT, gate=GateSpec(hangover_frames=0)),
    "a hang-over longer than the gap": replace(
        DEFAULT, gate=GateSpec(hangover_frames=60), segments=SegmentSpec(gap_frames=20)
    ),
    "a gate that opens late": replace(DEFAULT, gate=GateSpec(floor_margin_db=35, min_dbfs=-30)),
    "short segments": replace(DEFAULT, segments=SegmentSpec(max_seconds=1)),
    "long gaps": replace(DEFAULT, segments=SegmentSpec(gap_frames=150)),
    "many clicks": replace(DEFAULT, segments=SegmentSpec(min_speech_frames=60)),
    "another floor": replace(DEFAULT, front_end=FrontEndSpec(context_frames=CONTEXT_FRAMES, log_floor=1e-5)),
}


def babbling(seed: int) -> NDArray[np.int16]:
    """Utterances and clicks of random length between pauses of random length, int16 at 16 kHz."""
    rng = np.random.default_rng(seed)
    parts = []
    for take in range(6):
        length = int(RATE * rng.choice([0.05, 0.15, 0.4, 1.2, 2.5]))
        voice = utterance("satisfied", seed % 5, take, 3.0)[int(0.3 * RATE) :][:length]
        parts += [np.zeros(int(RATE * rng.uniform(0.1, 1.6)), np.int16), voice]
    whole = np.concatenate(parts)
    return np.asarray(np.clip(whole + rng.normal(0, 3, len(whole)), -32768, 32767), np.int16)


def with_card(bundle: Bundle, how: Preprocessing) -> Model:
    """The bundle's model, its card changed."""
    update: dict[str, Any] = {"front_end": how.front_end, "gate": how.gate, "segments": how.segments}
    return Model.of(replace(bundle, card=bundle.card.model_copy(update=update)))


@pytest.mark.parametrize("name", CARDS)
def test_the_trainer_cuts_where_the_engine_cuts(name: str) -> None:
    how = replace(CARDS[name], front_end=DEFAULT.front_end)  # the shipped network has one front end
    model = with_card(read_bundle(DEFAULT_BUNDLE), how)
    for seed in range(8):
        samples = babbling(seed)
        events = [event.data for event in Engine(model).feed(cut(samples, RATE, 4000)).events]
        spoken = [event for event in events if isinstance(event, Segment)]
        assert spoken or how.segments.min_speech_frames > 50
        hop = hop_samples(RATE)
        found = segments(compute(samples, how.front_end, how.gate).raw, how.gate, how.segments)
        expected = [event.start_sample // hop // 4 for event in spoken]
        assert [segment.start for segment in found][: len(expected) or None] == (expected or [found[0].start])
        assert len(found) == max(len(expected), 1)


@pytest.mark.parametrize("frames", [0, 1, 20, 75])
def test_the_hang_over_is_the_gates(frames: int) -> None:
    spec, hop = GateSpec(hangover_frames=frames), hop_samples(RATE)
    samples = babbling(3)
    samples = samples[: len(samples) // block_samples(RATE) * block_samples(RATE)]
    gate = Gate(spec)
    decision = gate.step(sum_squares(samples.reshape(1, -1, hop)), hop, gate.initial_state(1))
    assert np.array_equal(hang_over(decision.raw[0], spec), decision.active[0])


def test_augmentation_opens_where_the_cards_gate_would() -> None:
    """Speech of two levels under noise: a wider margin leaves the quiet part out, a longer hang-over covers it."""
    frames = np.full((120, 64), -8.0, np.float32)
    level = np.repeat([-20.0, -45.0], 60).astype(np.float32)
    noisy = Augmentation(speed=0, gain_db=0, noise=1.0, snr_db=(20, 20), aside=0, loss=0, frequency_mask=0, time_mask=0)

    def open_frames(gate: GateSpec) -> int:
        how = replace(DEFAULT, gate=gate)
        masks = [Augmenter(noisy, (), how, seed)(frames, level, np.ones(120, bool))[1] for seed in range(20)]
        return min(int(mask.sum()) for mask in masks)  # in some draws the floor has not risen yet: all is open

    narrow, wide = GateSpec(hangover_frames=0, floor_margin_db=0), GateSpec(hangover_frames=0, floor_margin_db=10)
    assert open_frames(narrow) == open_frames(wide) == 60
    assert open_frames(wide.model_copy(update={"hangover_frames": 30})) == 90
    assert open_frames(wide.model_copy(update={"floor_margin_db": 30})) == 0


@pytest.mark.parametrize("max_seconds", [1, 20])
def test_training_sees_no_longer_clips_than_the_engine(max_seconds: int) -> None:
    how = replace(DEFAULT, segments=SegmentSpec(max_seconds=max_seconds))
    clips = _clips([babbling(seed) for seed in range(4)], how)
    recipe = Recipe(batch=4, longest_s=2.0, augmentation=Augmentation(speed=0))
    (_, speech), _, _ = Batches(clips, NetworkShape(n_classes=2), recipe, (), seed=0)[0]
    longest = 20 * min(max_seconds, 2)
    # What surrounds the speech (0.9 s on both sides in some batches) comes on top.
    assert longest - 4 <= speech.shape[1] <= longest + 2 * 18 + 4


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A small network of random weights, in float32, so that both sides can be compared."""
    keras.utils.set_random_seed(4)
    model = build_sequence_model(NetworkShape(n_classes=3, channels=(8, 8, 16), dense=16, heads=2))
    set_normalisation(model, np.full(64, -12.0, np.float32), np.full(64, 4.0, np.float32))
    head = model.get_layer("head").kernel
    head.assign(8 * head)  # opinions as strong as a trained network's
    return model


@pytest.fixture(scope="module")
def bundle(network: keras.Model) -> Bundle:
    """Its bundle."""
    return make_bundle(
        network,
        _clips([babbling(seed) for seed in range(8)], DEFAULT),
        name="card",
        labels=("a", "b", "c"),
        calibration=CalibrationSpec(uncertain_below=0.4),
        training_data=(),
    )


@pytest.mark.slow
def test_predictions_of_both_follow_the_card(network: keras.Model, bundle: Bundle, tmp_path: Path) -> None:
    """What the trainer computes for a clip with the sequence model is what the engine's summary says of the file."""
    paths = [tmp_path / f"{seed}.wav" for seed in range(6)]
    for seed, path in enumerate(paths):
        soundfile.write(path, babbling(seed), RATE, subtype="PCM_16")
    seen = []
    for name, how in CARDS.items():
        clips = _clips([babbling(seed) for seed in range(6)], how)
        ours, _ = predict(network, clips)
        theirs: dict[int, Any] = dict(predict_files(paths, with_card(bundle, how)))
        for row, prediction in theirs.items():
            assert isinstance(prediction, Prediction)
            if prediction.final is not None:
                np.testing.assert_allclose(ours[row], prediction.final, atol=1e-5, err_msg=f"{name}, {row}")
        seen.append(ours)
    # And each card says something else of some clip.
    apart = {name: float(np.abs(seen[0] - other).max()) for name, other in zip(CARDS, seen, strict=True)}
    assert min(value for name, value in apart.items() if name != "as it ships") > 1e-4, apart


def _clips(sounds: list[NDArray[np.int16]], how: Preprocessing) -> Clips:
    made = [compute(sound, how.front_end, how.gate) for sound in sounds]
    return Clips(
        [one.frames for one in made],
        [one.level_db for one in made],
        [one.raw for one in made],
        one_hot(np.arange(len(made)) % 3, 3),
        np.ones((len(made), 3), np.float32),
        np.ones(len(made), np.float32),
        how,
    )

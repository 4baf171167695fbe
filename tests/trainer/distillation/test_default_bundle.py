"""The commands that made the shipped bundles, on small corpora and with a teacher that knows nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.errors import UserError
from tests.support.voices import write_corpus
from trainer.data.clips import Clips
from trainer.distillation import curriculum, default_bundle, open_bundle, pretraining, teacher_outputs
from trainer.distillation.teacher import LAYERS, WIDTH
from trainer.training.augmentation import Augmentation
from trainer.training.network import NetworkShape
from trainer.training.recipe import Recipe
from trainer.training.weights import load_start
from undertone.inference.model import Model

pytestmark = pytest.mark.slow

MOODS = ("frustrated", "satisfied")
QUICK = Recipe(epochs=1, clips_per_epoch=32, ema=0.0, augmentation=Augmentation())


class Stranger:
    """In place of Whisper's encoder: fixed random directions of the magnitudes of 20 ms."""

    def encode(self, samples: np.ndarray) -> np.ndarray:
        frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
        magnitudes = np.abs(np.fft.rfft(frames, axis=1))[:, :64]
        directions = np.random.default_rng(0).normal(size=(LAYERS, 64, WIDTH))
        return np.asarray(np.log(magnitudes + 1e-3) @ directions, np.float32)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A target of four speakers, a second corpus of three, others with enough clips for the hints' axes, of which one
    knows an emotion that the target does not; and the quickest recipes.
    """
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(teacher_outputs, "WhisperEncoder", Stranger)
    monkeypatch.setattr(curriculum, "PRETRAINING", QUICK)
    monkeypatch.setattr(curriculum, "PRETRAINING_EPOCHS", (1, 1))
    monkeypatch.setattr(curriculum, "MEMBERS", 2)
    monkeypatch.setattr(curriculum, "FINE_TUNING", QUICK)
    monkeypatch.setattr(pretraining, "STRANGERS", 1)
    monkeypatch.setattr(default_bundle, "FOLDS", 3)
    data = []
    for name, moods, speakers, takes in (
        ("target", MOODS, range(4), 4),
        ("second", MOODS, range(4, 7), 4),
        ("other", (*MOODS, "puzzled"), range(7, 11), 16),
    ):
        manifest = write_corpus(tmp_path / name, moods, speakers, takes)
        data.append(manifest.rename(manifest.with_name(f"{name}.csv")))
    noise = tmp_path / "target" / "frustrated_0_0.wav"
    work, out = tmp_path / "work", tmp_path / "moods.zip"
    return [
        *("default_bundle", "--data", *map(str, data), "--target", "target", "--also", "second"),
        *("--noise", str(noise), "--unheard-noise", str(noise), "--work", str(work), "--out", str(out), "--int8"),
    ]


def test_folds_then_everybody_then_a_bundle(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[int, int, bool]] = []

    def fit(clips: Clips, valid: None, shape: NetworkShape, recipe: Recipe, **rest: Any) -> object:
        heard.append((len(clips), round(float(clips.weights.sum())), rest["init"] is not None))
        return real(clips, valid, shape, recipe, **rest)

    def fine_tuned(target: int, second: int) -> tuple[int, int, bool]:
        """Clips at three speeds and the other corpus's, and how many are drawn."""
        drawn = target * (1 + curriculum.ALSO_SHARE) * (1 + curriculum.OTHERS_SHARE)
        return 3 * (target + second) + 128, round(drawn), True

    real = curriculum.fit
    monkeypatch.setattr(curriculum, "fit", fit)
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "1"])
    default_bundle.main()
    # Each member is pretrained on the other corpus and on two speakers of the second, whose third is the stranger; a
    # fold's hears two of the target's four speakers and the same two of the second.
    assert [(clips, init) for clips, _, init in heard[::2]] == [(128 + 16, False)] * 2
    assert heard[1::2] == [fine_tuned(16, 16)] * 2
    monkeypatch.setattr(sys, "argv", arguments)
    default_bundle.main()
    assert heard[4:] == [fine_tuned(24, 16)] * 4 + [fine_tuned(32, 24)] * 2
    printed = capsys.readouterr().out
    assert '"heldout_uar_noise_10_dB"' in printed
    assert '"heldout_uar_second_corpus"' in printed
    assert '"heldout_uar_packet_loss_1_in_10"' in printed
    card = Model.load(tmp_path / "moods.zip").card
    assert card.labels == MOODS
    figures = {"heldout_uar", "heldout_uar_telephone", "heldout_uar_after_1_s", "heldout_ece"}
    assert figures | {"heldout_uar_echo_15_dB", "heldout_uar_after_3_utterances"} <= set(card.metrics)
    assert {part.corpus: part.utterances for part in card.training_data} == {"target": 32, "second": 24, "other": 128}
    assert load_start(tmp_path / "moods.zip").shape.members == curriculum.MEMBERS


def make_open(arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`open` on the second corpus and the other; the one speaker of the second that is no stranger is its third."""
    monkeypatch.setattr(open_bundle, "TESTED_ON", "second")
    monkeypatch.setattr(open_bundle, "PRETRAINING", QUICK)
    monkeypatch.setattr(open_bundle, "EPOCHS", 1)
    monkeypatch.setattr(pretraining, "STRANGERS", 2)
    data = [str(folder / name / f"{name}.csv") for name in ("second", "other")]
    monkeypatch.setattr(sys, "argv", ["open_bundle", "--data", *data, *arguments[arguments.index("--noise") : -1]])
    open_bundle.main()
    return folder / "moods.zip"


def test_pretraining_starts_from_a_bundle_that_does_not_know_the_target(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inits: list[Any] = []

    def fit(*clips: Any, init: Any, **rest: Any) -> object:
        inits.append(init)
        return real(*clips, init=init, **rest)

    real = curriculum.fit
    monkeypatch.setattr(curriculum, "fit", fit)
    start = make_open(arguments, tmp_path, monkeypatch)
    weights = load_start(start).weights
    monkeypatch.setattr(pretraining, "STRANGERS", 1)
    monkeypatch.setattr(sys, "argv", [*arguments, "--start", str(start), "--only", "1"])
    default_bundle.main()
    assert set(inits[0]) == set(weights)
    assert all(np.array_equal(inits[0][name], weights[name]) for name in weights)
    assert not np.array_equal(inits[1]["gru/gru_cell/kernel"], weights["gru/gru_cell/kernel"])
    backwards = ["--target", "second", "--also", "target", "--only", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--start", str(start), *backwards])
    with pytest.raises(UserError, match="was trained on second"):
        default_bundle.main()


def test_the_open_bundle_is_tested_by_strangers(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_open(arguments, tmp_path, monkeypatch)
    assert '"heldout_uar_after_1_s"' in capsys.readouterr().out
    card = Model.load(made).card
    assert card.labels == MOODS
    # The third speaker of the second corpus, and of the other what has the second's labels.
    assert {part.corpus: part.utterances for part in card.training_data} == {"second": 8, "other": 128}
    assert card.metrics["heldout_files"] == 16
    assert card.reference is not None
    assert (card.reference.held_out, card.reference.speakers) == (True, 2)
    assert load_start(made).card == card

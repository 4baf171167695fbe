"""The command that made the shipped bundle, on two small corpora and with a teacher that knows nothing."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.voices import write_corpus
from trainer.data.clips import Clips
from trainer.distillation import curriculum, default_bundle, teacher_outputs
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
    """A target of four speakers, another corpus with enough clips for the hints' axes, and the quickest recipes."""
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(teacher_outputs, "WhisperEncoder", Stranger)
    monkeypatch.setattr(curriculum, "PRETRAINING", QUICK)
    monkeypatch.setattr(curriculum, "PRETRAINING_EPOCHS", (1, 1))
    monkeypatch.setattr(curriculum, "FINE_TUNING", QUICK)
    monkeypatch.setattr(default_bundle, "FOLDS", 3)
    data = []
    for name, speakers, takes in (("target", range(4), 4), ("other", range(4, 8), 16)):
        manifest = write_corpus(tmp_path / name, MOODS, speakers, takes)
        data.append(manifest.rename(manifest.with_name(f"{name}.csv")))
    noise = tmp_path / "target" / "frustrated_0_0.wav"
    work, out = tmp_path / "work", tmp_path / "moods.zip"
    return [
        *("default_bundle", "--data", *map(str, data), "--target", "target", "--noise", str(noise)),
        *("--unheard-noise", str(noise), "--work", str(work), "--out", str(out), "--int8"),
    ]


def test_folds_then_everybody_then_a_bundle(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[int, bool]] = []

    def fit(clips: Clips, valid: None, shape: NetworkShape, recipe: Recipe, **rest: Any) -> object:
        heard.append((len(clips), "init" in rest))
        return real(clips, valid, shape, recipe, **rest)

    real = curriculum.fit
    monkeypatch.setattr(curriculum, "fit", fit)
    monkeypatch.setattr(sys, "argv", [*arguments, "--only", "1"])
    default_bundle.main()
    # Each member is pretrained on the other corpus, then hears two of the four speakers at three speeds, and the other.
    assert heard == [(128, False), (3 * 16 + 128, True)] * 2
    monkeypatch.setattr(sys, "argv", arguments)
    default_bundle.main()
    assert heard[4:] == [(3 * 24 + 128, True)] * 4 + [(3 * 32 + 128, True)] * 2
    assert '"heldout_uar_noise_10_dB"' in capsys.readouterr().out
    card = Model.load(tmp_path / "moods.zip").card
    assert card.labels == MOODS
    assert {"heldout_uar", "heldout_uar_telephone", "heldout_uar_after_1_s", "heldout_ece"} <= set(card.metrics)
    assert {part.corpus for part in card.training_data} == {"target", "other"}
    assert load_start(tmp_path / "moods.zip").shape.members == curriculum.MEMBERS

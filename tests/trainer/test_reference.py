"""A card's reference: what held-out speakers are like to a worker."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.reference import Reference
from tests.support.voices import write_corpus
from trainer.distillation import reference as command
from trainer.evaluation.reference import Heard, listen, reference_of
from undertone.inference import drift
from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.inference.model import Model

FIGURES = {drift.LABELS, "level", "pitch", "speech", "probability angry", *drift.band_names()}


def heard(levels: dict[str, list[float]], weights: tuple[float, ...] = ()) -> Heard:
    """Speakers, and a file of each for each level."""
    rows = [(speaker, level) for speaker, some in levels.items() for level in some]
    figures = [{drift.LABELS: np.array([0]), "level": np.array([level])} for _, level in rows]
    return Heard([speaker for speaker, _ in rows], np.array(weights or [1.0] * len(rows)), figures, len(rows))


def made(found: Heard) -> Reference:
    reference = reference_of(found, 2, held_out=True)
    assert reference
    return reference


def test_speakers_who_differ_have_wider_bounds_than_as_many_who_are_alike() -> None:
    steps = [float(level) for level in range(-40, -20)]
    alike = made(heard(dict.fromkeys("abcdef", steps)))
    apart = made(
        heard({speaker: [-40.0 + 3 * k + step / 20 for step in range(20)] for k, speaker in enumerate("abcdef")})
    )
    assert alike.figures["level"].bound == 0, "whoever is drawn says the same"
    assert apart.figures["level"].bound > 0.25
    assert (alike.utterances, alike.speakers) == (120, 6)


def test_a_file_counts_as_its_label_is_in_calls() -> None:
    found = made(heard({"a": [-40.0, -20.0], "b": [-40.0, -20.0]}, (3.0, 1.0, 3.0, 1.0)))
    assert max(found.figures["level"].shares) == 0.75


def test_nothing_that_was_said_is_no_reference() -> None:
    assert reference_of(Heard(["a"], np.ones(1), [{}], 0), 2, held_out=True) is None


@pytest.mark.slow
def test_files_are_heard_as_a_worker_hears_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_corpus(tmp_path / "corpus", ("frustrated", "satisfied"), range(3), 4)
    text = manifest.read_text().replace(",frustrated,", ",angry,").replace(",satisfied,", ",calm,")
    manifest.write_text(text)
    rows = list(csv.DictReader(text.splitlines()))
    model = Model.load()
    truth = np.array([model.card.labels.index(row["emotion"]) for row in rows])
    found = listen(model, [manifest.parent / row["path"] for row in rows], truth, [row["speaker"] for row in rows])
    assert found.utterances >= len(rows) - 2
    calm = found.weights[truth == model.card.labels.index("calm")].sum()
    expected = model.card.calibration.prior
    assert expected
    share = expected["calm"] / (expected["calm"] + expected["angry"])
    assert calm / found.weights.sum() == pytest.approx(share, rel=1e-3)
    reference = made(found)
    # The same voices lie on what they were taken from.
    running = drift.Running(reference)
    running.add(found.figures)
    assert set(running.psi()) >= FIGURES
    before, bare = tmp_path / "bare.zip", read_bundle(DEFAULT_BUNDLE)
    before.write_bytes(bundle_bytes(replace(bare, card=bare.card.model_copy(update={"reference": None}))))
    out = tmp_path / "with.zip"
    monkeypatch.setattr(sys, "argv", ["reference", str(before), "--data", str(manifest), "--out", str(out)])
    command.main()
    card = read_bundle(out).card
    assert card.reference
    assert (card.version, card.reference.held_out, card.reference.speakers) == (bare.card.version, False, 3)
    assert card.reference.figures.keys() == reference.figures.keys()

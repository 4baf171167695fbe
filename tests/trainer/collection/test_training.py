"""From a dataset to a model and back: `undertone train` takes it, and a forgotten call's models are named."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.datasets import MOODS, labelled_dataset
from trainer.collection.dataset import Dataset
from trainer.collection.erasure import erase
from trainer.data.snapshot_folders import newest_snapshot
from trainer.options import TrainingOptions
from trainer.service import TrainRequest, serve
from undertone.inference.bundle import read_bundle


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Six callers, each of them labelled in two moods."""
    return labelled_dataset(tmp_path / "labels", callers=6)


@pytest.mark.slow
def test_a_model_is_trained_with_a_dataset_and_named_when_a_call_of_it_is_forgotten(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    folder, out, said = tmp_path / "labels", tmp_path / "out", io.StringIO()
    request = TrainRequest(TrainingOptions((folder,), start="none", epochs=1), out)
    serve(request, Console(file=said, width=200))
    snapshot = newest_snapshot(folder)
    assert f"36 labelled sounds of {folder}, snapshot {snapshot.name}" in said.getvalue()
    card = read_bundle(out / "model.zip").card
    assert card.labels == MOODS
    assert [data.corpus for data in card.training_data] == ["labels"]
    erased = erase(dataset, "call-3")
    assert (erased.labels, erased.snapshots, erased.models) == (6, 1, (card.version,))
    # Each file's features were made for more than one way of hearing it.
    assert erased.features >= 6
    kept = list((tmp_path / "cache" / "features").rglob("*.npz"))
    audio = {path.stem for path in folder.rglob("*.wav")}
    assert len(audio) == 30
    assert {path.name.partition("-")[0] for path in kept} == audio

"""From a dataset to a model and back: `undertone train` takes it, and a forgotten call's models are named."""

import io
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from rich.console import Console

from schemas.events import AudioSpan
from schemas.labels import EmotionLabel, LabelEnvelope
from tests.support.voices import RATE, utterance
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry, State
from trainer.collection.erasure import erase
from trainer.data.snapshot_folders import newest_snapshot
from trainer.data.stretches import Stretch
from trainer.options import TrainingOptions
from trainer.service import TrainRequest, serve
from undertone.inference.bundle import read_bundle

MOODS = ("frustrated", "satisfied")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Six callers, each of them labelled in two moods."""
    made = Dataset.open(str(tmp_path / "labels"))
    made.create()
    for offset in range(6 * 2 * 3):
        caller, mood, take = offset // 6, MOODS[offset % 2], offset % 6 // 2
        sound = utterance(mood, caller, take)
        audio = AudioSpan(topic="call-audio", partition=0, first_offset=0, last_offset=0)
        data = EmotionLabel(
            call_id=f"call-{caller}",
            channel="customer",
            emotion=mood,
            labelled_by="ann",
            start_sample=offset,
            end_sample=offset + len(sound),
            sample_rate=RATE,
            audio=audio,
        )
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        label = LabelEnvelope(id=str(offset), source="/t", subject=f"call-{caller}/customer", time=moment, data=data)
        entry = Entry(
            state=State.COLLECTED,
            topic="emotion-labels",
            partition=0,
            offset=offset,
            received=moment,
            label=label,
            stretch=Stretch(label.subject, offset, offset + len(sound), RATE, audio),
        )
        made.add(UUID(int=1), data.call_id, entry, sound)
    return made


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

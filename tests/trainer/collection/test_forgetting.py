"""A call that is to be forgotten: its labels and audio go from the dataset, and later ones stay out."""

import re
from pathlib import Path

import pytest

from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.installation import Installation
from tests.support.labels import Send, label, stretch
from tests.trainer.collection.collecting import PROGRAM, collect, letters
from trainer.collection import snapshots
from trainer.collection.dataset import Dataset, audio_path
from trainer.data.snapshot_folders import note_model
from undertone.messaging.settings import KafkaSettings


@pytest.mark.parametrize("key", ["c1", "c1/customer"])
def test_a_tombstone_deletes_labels_and_audio_and_keeps_later_ones_out(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path, key: str
) -> None:
    of_call = stretch(segment, 6000, 14_000)
    labels = [label("cross", **of_call), label("mild", call_id="c2", **of_call)]
    send(topics.emotion_labels.name, labels)
    assert [entry.state for entry in collect(kafka_settings, tmp_path)] == ["collected", "collected"]
    send(topics.emotion_labels.name, [(key, None), labels[0], ("c1/customer", b"not json")])
    entries = collect(kafka_settings, tmp_path)
    assert [entry.state for entry in entries] == ["forgotten", "collected", "tombstone", "forgotten", "forgotten"]
    assert not letters(kafka_settings, topics)
    assert [path.stem for path in tmp_path.rglob("*.wav")] == [entries[1].audio]
    # As a word: c1 is also in every fourth hash.
    texts = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".wav"]
    assert not [path for path in texts if re.search(rb"\bc1\b", path.read_bytes())]


def test_the_command_deletes_a_call_at_once_and_names_models_and_other_datasets_follow(
    kafka_settings: KafkaSettings,
    installation: Installation,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    of_call = stretch(segment, 6000, 14_000)
    send(topics.emotion_labels.name, [label("cross", **of_call), label("mild", call_id="c2", **of_call)])
    folder = tmp_path / "out" / "dataset"
    collect(kafka_settings, folder)
    dataset = Dataset.open(str(folder))
    note_model(snapshots.local_folder(dataset, snapshots.make(dataset).version), "emotions-1")
    review = tmp_path / "out" / "runs" / "one" / "review.csv"
    review.parent.mkdir(parents=True)
    heard = {entry.call_id: audio_path(entry) for entry in dataset.entries()}
    review.write_text(f"audio\n{heard['c1']}\n{heard['c2']}\n")
    arguments = ("labels", "forget", "--call-id", "c1", "--out", str(tmp_path / "out"))
    done = installation.worker("l1", (*PROGRAM[:2], *arguments))
    assert done.process.wait(120) == 0, done.output
    assert "labels deleted from the dataset, with their audio: 1\n" in done.output
    assert "cannot be taken from model emotions-1" in done.output
    assert "files of reports rewritten without it: 1\n" in done.output
    assert review.read_text() == f"audio\n{heard['c2']}\n"
    assert [entry.state for entry in dataset.entries()] == ["forgotten", "collected"]
    other = collect(kafka_settings, tmp_path / "other")
    assert sorted(entry.state for entry in other) == ["collected", "forgotten", "tombstone"]

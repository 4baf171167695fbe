"""A dataset without Kafka: what counts, versions of it, forgetting, and a process that dies at any step."""

import csv
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from schemas.errors import UserError
from schemas.events import AudioSpan
from schemas.labels import EmotionLabel, LabelEnvelope
from trainer.collection import snapshots
from trainer.collection.dataset import Dataset, audio_path, wav_of
from trainer.collection.entry import Entry, State
from trainer.collection.erasure import erase
from trainer.collection.resolution import DISAGREE, EXPIRED, resolve
from trainer.data.cache import cache_folder, entry_of
from trainer.data.snapshot_folders import contents, newest_snapshot, note_model
from trainer.data.stretches import Stretch
from undertone.storage.store import LocalStore, Store

TOPIC = UUID(int=7)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPAN = AudioSpan(topic="call-audio", partition=0, first_offset=0, last_offset=9)


class Said:
    """Labels into a dataset, one offset after the other. The sound follows from `sound`."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._offset = 0

    def __call__(
        self,
        emotion: str,
        by: str = "ann",
        sound: int = 0,
        call: str = "c1",
        minutes: int = 0,
        gone: bool = False,
        withdrawn: bool = False,
    ) -> Entry:
        data = EmotionLabel(
            call_id=call, channel="customer", emotion=emotion, labelled_by=by, event_id="e", withdrawn=withdrawn
        )
        entry = Entry(
            state=State.EXPIRED if gone else State.COLLECTED,
            topic="emotion-labels",
            partition=0,
            offset=self._offset,
            received=NOON,
            label=LabelEnvelope(
                id="1", source="/t", subject=f"{call}/customer", time=NOON + timedelta(minutes=minutes), data=data
            ),
            stretch=Stretch(f"{call}/customer", sound, sound + 100, 8000, SPAN),
            heard_by="emotions-1",
        )
        self._offset += 1
        samples = None if gone else np.full(100, sound + 1, np.int16)
        self.dataset.add(TOPIC, call, entry, samples)
        return entry


@pytest.fixture(params=["file", "memory"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A new one; `memory` stands for the object stores."""
    monkeypatch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path / "cache"))
    place = tmp_path / "labels" if request.param == "file" else f"memory://{uuid4().hex}"
    made = Dataset.open(str(place))
    made.create()
    return made


@pytest.fixture
def said(dataset: Dataset) -> Said:
    return Said(dataset)


def rows(dataset: Dataset, version: str) -> list[dict[str, str]]:
    folder = snapshots.local_folder(dataset, version)
    with (folder / "manifest.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert all((folder / row["path"]).is_file() for row in found)
    return found


def test_of_a_person_the_newest_label_counts_then_the_majority(said: Said) -> None:
    said("cross", by="ann", minutes=5)
    said("calm", by="ann", minutes=1)  # came later, and was said before
    said("cross", by="bob")
    said("calm", by="eve")
    (row,) = resolve(said.dataset.entries()).rows
    assert (row.emotion, row.votes, row.people) == ("cross", 2, 3)


def test_ties_and_expired_audio_are_left_out_and_counted(said: Said) -> None:
    said("cross", by="ann")
    said("calm", by="bob")
    said("calm", sound=1, gone=True)
    said("calm", sound=2)
    resolution = resolve(said.dataset.entries())
    assert [row.emotion for row in resolution.rows] == ["calm"]
    assert resolution.left_out == {DISAGREE: 1, EXPIRED: 1}
    said("calm", by="eve")
    assert len(resolve(said.dataset.entries()).rows) == 2


def test_a_label_is_set_right_when_kafka_no_longer_has_the_sound(said: Said) -> None:
    said("cross", by="ann")
    said("calm", by="ann", minutes=2000, gone=True)
    resolution = resolve(said.dataset.entries())
    assert [(row.emotion, row.votes, row.people) for row in resolution.rows] == [("calm", 1, 1)]
    assert not resolution.left_out
    version = snapshots.make(said.dataset).version
    assert [row["emotion"] for row in rows(said.dataset, version)] == ["calm"]
    erase(said.dataset, "c1")
    assert not resolve(said.dataset.entries()).rows


def test_what_somebody_takes_back_does_not_count(said: Said) -> None:
    said("cross", by="ann")
    said("calm", by="bob")
    said("cross", by="ann", minutes=1, gone=True, withdrawn=True)
    said("cross", sound=1, by="eve", minutes=1)
    said("cross", sound=1, by="eve", withdrawn=True)  # came later, and was said before
    said("calm", sound=2, by="eve")
    said("calm", sound=2, by="eve", minutes=1, withdrawn=True)
    said("mild", sound=2, by="eve", minutes=2)
    said("calm", sound=3, by="eve")
    said("calm", sound=3, by="eve", withdrawn=True)
    resolution = resolve(said.dataset.entries())
    assert [(row.emotion, row.people) for row in resolution.rows] == [("calm", 1), ("cross", 1), ("mild", 1)]
    assert not resolution.left_out


def test_the_same_sound_counts_once_whatever_call_it_came_in(said: Said) -> None:
    said("calm", call="c2")
    said("calm", call="c1")
    (row,) = resolve(said.dataset.entries()).rows
    assert row.entry.stream == "c1/customer"


def test_the_same_labels_give_the_same_snapshot_and_other_labels_another(said: Said) -> None:
    said("calm")
    said("cross", sound=1, call="c2")
    first = snapshots.make(said.dataset)
    assert snapshots.make(said.dataset) == first
    assert [row["speaker"] for row in rows(said.dataset, first.version)] == ["c1/customer", "c2/customer"]
    said("cross", minutes=1)
    second = snapshots.make(said.dataset)
    assert second.version != first.version
    assert [row["emotion"] for row in rows(said.dataset, first.version)] == ["calm", "cross"]
    assert [row["emotion"] for row in rows(said.dataset, second.version)] == ["cross", "cross"]
    assert newest_snapshot(snapshots.local_folder(said.dataset, second.version).parents[1]).name == second.version


def test_a_dataset_without_labels_is_one_line(dataset: Dataset) -> None:
    with pytest.raises(UserError, match="no label to learn from"):
        snapshots.make(dataset)


def test_a_place_that_is_no_dataset_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="undertone trainer collect"):
        Dataset.open(str(tmp_path)).id()


def test_a_forgotten_call_leaves_dataset_snapshots_and_caches_and_its_models_are_named(said: Said) -> None:
    dataset = said.dataset
    said("calm")
    said("cross", sound=1, call="c2")
    version = snapshots.make(dataset).version
    folder = snapshots.local_folder(dataset, version)
    note_model(folder, "emotions-1234")
    content = wav_of(np.full(100, 1, np.int16), 8000)
    cached = entry_of(cache_folder() / "features", content, "any")
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"features")
    erased = erase(dataset, "c1")
    assert (erased.snapshots, erased.features, erased.models) == (1, 1, ("emotions-1234",))
    assert not cached.exists()
    assert [row["speaker"] for row in rows(dataset, version)] == ["c2/customer"]
    assert [entry.state for entry in dataset.entries()] == ["forgotten", "collected"]
    gone = hashlib.sha256(content).hexdigest()
    assert not [path for path in folder.parents[1].rglob("*.wav") if path.stem == gone]
    assert not dataset.audio_of("c1")
    # Asked again it still knows which models have heard the call; a label that comes late is not kept.
    assert erase(dataset, "c1").models == ("emotions-1234",)
    said("calm")
    assert not dataset.audio_of("c1")
    assert [entry.state for entry in dataset.entries()] == ["forgotten", "collected", "forgotten"]
    assert rows(dataset, snapshots.make(dataset).version)[0]["speaker"] == "c2/customer"


def test_what_a_killed_collector_has_left_of_a_call_goes_too(said: Said) -> None:
    dataset = said.dataset
    said("calm", call="c2")
    entry = said("calm")
    orphan = audio_path(entry.model_copy(update={"audio": "0" * 64}))
    begun = f"labels/{TOPIC.hex}/00000/1234.tmp"
    dataset.store.create(orphan, b"sound without an entry")
    dataset.store.create(begun, b"half an entry")
    erase(dataset, "c1")
    assert not dataset.store.exists(orphan)
    assert not dataset.store.exists(begun)
    assert [kept.state for kept in dataset.entries()] == ["collected", "forgotten"]


def test_a_training_sees_that_a_call_was_forgotten_meanwhile(said: Said) -> None:
    said("calm")
    said("cross", sound=1, call="c2")
    folder = snapshots.local_folder(said.dataset, snapshots.make(said.dataset).version)
    before = contents([folder, folder.parent])
    assert list(before) == [folder]
    assert contents([folder]) == before
    erase(said.dataset, "c1")
    assert contents([folder]) != before


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def dies_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Let the process die after so many steps that change something; None: never."""
    left: list[int | None] = [None]

    def dying(step: Any) -> Any:
        def dies(store: Store, *arguments: Any) -> Any:
            if left[0] == 0:
                raise Died
            if left[0] is not None:
                left[0] -= 1
            return step(store, *arguments)

        return dies

    for name in ("create", "replace", "remove"):
        for kind in (Store, LocalStore):
            if name in vars(kind):
                monkeypatch.setattr(kind, name, dying(getattr(kind, name)))
    yield lambda steps: left.__setitem__(0, steps)


@pytest.mark.parametrize("steps", range(14))
def test_whatever_step_it_dies_at_the_next_process_ends_at_the_same_place(
    dataset: Dataset, dies_after: Callable[[int | None], None], steps: int
) -> None:
    def work(at: Dataset) -> None:
        said = Said(at)
        for call, emotion in (("c1", "calm"), ("c2", "cross"), ("c3", "cross")):
            said(emotion, call=call, sound=int(call[1]))
        snapshots.make(at)
        erase(at, "c1")

    dies_after(steps)
    try:
        work(dataset)
    except Died:
        dies_after(None)
        assert len(list(dataset.entries())) <= 3
        work(dataset)
    dies_after(None)
    assert [entry.state for entry in dataset.entries()] == ["forgotten", "collected", "collected"]
    assert not dataset.audio_of("c1")
    for version in dataset.store.names("snapshots"):
        found = rows(dataset, version)
        assert [row["speaker"] for row in found] == ["c2/customer", "c3/customer"]


def test_a_model_is_named_and_a_copy_loses_the_call_where_another_machine_forgets_it(said: Said) -> None:
    said("cross", call="c1")
    said("calm", call="c2", sound=9)
    made = snapshots.make(said.dataset)
    folder = snapshots.local_folder(said.dataset, made.version)
    learnt_from = contents([folder])
    snapshots.note_model(said.dataset, made.version, "emotions-1")
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("UNDERTONE_CACHE_DIR", "/nowhere")
        assert erase(said.dataset, "c1").models == ("emotions-1",)
    assert snapshots.local_folder(said.dataset, made.version) == folder
    assert contents([folder]) != learnt_from

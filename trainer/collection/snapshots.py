"""Snapshots: what the dataset's labels come to at one moment, as data to train on.

A snapshot is a folder with a `manifest.csv`, whose name is the hash of that: the same labels give the same snapshot.
Its audio is the dataset's own. It changes in one way only: a call that is to be forgotten leaves it.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import UserError
from trainer.collection.dataset import Dataset, audio_path, hash_of
from trainer.collection.resolution import Resolution, Resolved, resolve
from trainer.data.cache import cache_folder
from trainer.data.snapshot_folders import CORPUS, DATASET, DESCRIPTION, MANIFEST, MODELS, SNAPSHOTS
from undertone.storage.store import Store, open_store

COLUMNS = ("path", "emotion", "speaker", "corpus", "licence", "votes", "people", "event_id", "model_version")
_LICENCE = "your calls"
# From a snapshot's folder to the dataset's.
_UP = "../../"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version: how many sounds it has of each emotion, of how many speakers, and what was left out."""

    version: str
    sounds: int
    speakers: int
    labels: Counter[str]
    left_out: Counter[str]


def make(dataset: Dataset) -> Snapshot:
    """Snapshot what there is now. One that is there already is not made again.

    Raises:
        UserError: there is nothing to learn from.
    """
    resolution = resolve(dataset.entries())
    if not resolution.rows:
        raise UserError(f"the dataset has no label to learn from ({_told(resolution.left_out) or 'nor any other'})")
    manifest = _csv([_row(one) for one in resolution.rows])
    version = hashlib.sha256(manifest).hexdigest()[:12]
    snapshot = _described(version, resolution)
    folder = f"{SNAPSHOTS}/{version}"
    with suppress(FileExistsError):
        dataset.store.create(f"{folder}/{MANIFEST}", manifest)
    # Asked behind the write: what was forgotten in between has not been found here.
    marks = dataset.marks()
    _leave_out(dataset.store, version, lambda stream: bool(marks.intersection(map(hash_of, _keys(stream)))))
    with suppress(FileExistsError):
        dataset.store.create(f"{folder}/{DESCRIPTION}", _description(dataset.id(), snapshot))
    return snapshot


def who_knows(dataset: Dataset, key: str) -> tuple[int, list[str]]:
    """How many snapshots have a call or a stream, and the models that were trained with those."""
    touched, models = 0, set()
    for version in dataset.store.names(SNAPSHOTS):
        if any(key in _keys(row["speaker"]) for row in _rows(dataset.store, version)):
            touched += 1
            models.update(models_of(dataset, version))
    return touched, sorted(models)


def erase(dataset: Dataset, key: str) -> None:
    """Rewrite the snapshots that have a call or a stream without it."""
    for version in dataset.store.names(SNAPSHOTS):
        _leave_out(dataset.store, version, lambda stream: key in _keys(stream))


def models_of(dataset: Dataset, version: str) -> list[str]:
    """The models that were trained with a snapshot, as `undertone train` has noted them."""
    return [name.removesuffix(".json") for name in dataset.store.names(f"{SNAPSHOTS}/{version}/{MODELS}")]


def note_model(dataset: Dataset, version: str, model: str) -> None:
    """Remember that a model was trained with a snapshot, in the dataset itself: whoever forgets a call names it.

    Raises:
        StoreAway: the store does not answer.
    """
    note = {"version": model, "time": datetime.now(UTC).isoformat()}
    dataset.store.replace(f"{SNAPSHOTS}/{version}/{MODELS}/{model}.json", json.dumps(note).encode())


def local_folder(dataset: Dataset, version: str) -> Path:
    """A snapshot's folder on this machine; one of an object store is copied to the cache first.

    Raises:
        UserError: the cache cannot be written.
    """
    if dataset.store.folder:
        return dataset.store.folder / SNAPSHOTS / version
    copy = copy_folder(dataset)
    store = open_store(str(copy), "UNDERTONE_CACHE_DIR")
    folder = f"{SNAPSHOTS}/{version}"
    wanted = [row["path"].removeprefix(_UP) for row in _rows(dataset.store, version)]
    for path in [DATASET, *wanted]:
        if not store.exists(path):
            with suppress(FileExistsError):
                store.create(path, dataset.store.read(path))
    for name in (MANIFEST, DESCRIPTION):
        store.replace(f"{folder}/{name}", dataset.store.read(f"{folder}/{name}"))
    return copy / folder


def copy_folder(dataset: Dataset) -> Path:
    """Where this machine keeps its copy of a dataset in an object store."""
    return cache_folder() / "datasets" / dataset.id()


def copy_of(dataset: Dataset) -> Dataset | None:
    """That copy, where there is one."""
    if dataset.store.folder or not copy_folder(dataset).is_dir():
        return None
    return Dataset.open(str(copy_folder(dataset)), "UNDERTONE_CACHE_DIR")


def _described(version: str, resolution: Resolution) -> Snapshot:
    return Snapshot(
        version,
        len(resolution.rows),
        len({row.entry.stream for row in resolution.rows}),
        Counter(row.emotion for row in resolution.rows),
        resolution.left_out,
    )


def _description(dataset: str, snapshot: Snapshot) -> bytes:
    described = {
        "version": snapshot.version,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "dataset": dataset,
        "rule": "of each person the newest label, then the emotion of most people; ties are left out",
        "sounds": snapshot.sounds,
        "speakers": snapshot.speakers,
        "labels": dict(sorted(snapshot.labels.items())),
        "left_out": dict(sorted(snapshot.left_out.items())),
    }
    return json.dumps(described, indent=1).encode()


def _row(row: Resolved) -> dict[str, str]:
    entry = row.entry
    return {
        "path": _UP + audio_path(entry),
        "emotion": row.emotion,
        # The caller's name is not known; nobody else speaks on this side of this call.
        "speaker": entry.stream,
        "corpus": CORPUS,
        "licence": _LICENCE,
        "votes": str(row.votes),
        "people": str(row.people),
        "event_id": (entry.label.data.event_id if entry.label else None) or "",
        "model_version": entry.heard_by or "",
    }


def _leave_out(store: Store, version: str, forgotten: Callable[[str], bool]) -> None:
    rows = list(_rows(store, version))
    left = [row for row in rows if not forgotten(row["speaker"])]
    if len(left) < len(rows):
        store.replace(f"{SNAPSHOTS}/{version}/{MANIFEST}", _csv(left))


def _rows(store: Store, version: str) -> Iterator[dict[str, str]]:
    path = f"{SNAPSHOTS}/{version}/{MANIFEST}"
    if store.exists(path):  # one that a killed process has only begun has none
        yield from csv.DictReader(io.StringIO(store.read(path).decode(), newline=""))


def _csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _keys(stream: str) -> tuple[str, str]:
    """What a tombstone may call a stream."""
    return stream, stream.partition("/")[0]


def _told(left_out: Counter[str]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in left_out.items())

"""Datasets of labels on disk: where their snapshots lie, and which models were made of one.

A dataset (`trainer.collection` writes it) is a folder with a `dataset.json`; a snapshot of it a folder with a
`manifest.csv`, which is data like any other, and a `snapshot.json`.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import UserError

DATASET = "dataset.json"
SNAPSHOTS, AUDIO = "snapshots", "audio"
MANIFEST, DESCRIPTION, MODELS = "manifest.csv", "snapshot.json", "models"
# The corpus that labels of calls make.
CORPUS = "labels"


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset of labels."""
    return (folder / DATASET).is_file()


def is_snapshot(folder: Path) -> bool:
    """Whether a folder is a snapshot of a dataset's labels; its name is its version."""
    return (folder / DESCRIPTION).is_file()


def newest_snapshot(dataset: Path) -> Path:
    """The folder of a dataset's newest snapshot.

    Raises:
        UserError: it has none.
    """
    found = [path.parent for path in (dataset / SNAPSHOTS).glob(f"*/{DESCRIPTION}")]
    if not found:
        raise UserError(f"{dataset}: a dataset without a snapshot: `undertone trainer snapshot` makes one")
    return max(found, key=lambda folder: (_created(folder), folder.name))


def note_model(path: Path, version: str) -> None:
    """Remember with a snapshot, given by its folder or its manifest, that a model was trained with it.

    `undertone labels forget` says from it which models hold a call. Other data are left alone.

    Raises:
        UserError: it cannot be written.
    """
    snapshot = path if path.is_dir() else path.parent
    if not is_snapshot(snapshot):
        return
    note = snapshot / MODELS / f"{version}.json"
    try:
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({"version": version, "time": datetime.now(UTC).isoformat()}), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{note}: cannot be written ({error.strerror})") from None


def contents(paths: Iterable[Path]) -> dict[Path, bytes]:
    """What the snapshots among these data hold now: other than before where a call has been forgotten meanwhile."""
    return {path: (path / MANIFEST).read_bytes() for path in paths if is_snapshot(path)}


def whose(audio: Path) -> str:
    """Call and channel of a dataset's audio file, as their hashes: CALL/CHANNEL. Empty for any other file."""
    *_, place, call, channel, _ = ("", "", "", *audio.parts)
    return f"{call}/{channel}" if place == AUDIO else ""


def _created(folder: Path) -> str:
    try:
        return str(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["created"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder / DESCRIPTION} cannot be read") from None

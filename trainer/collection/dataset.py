"""The dataset: what was labelled, and its sound, in a folder or an object store.

    dataset.json                                the dataset's id
    labels/TOPIC_ID/PARTITION/OFFSET-CALL.json  an entry for each record of `emotion-labels`, whatever became of it
    audio/CALL/CHANNEL/SHA256.wav               the sound, by its content; calls and channels by their hash
    forgotten/KEY                               a mark for each call or stream that is to be forgotten, by its hash
    snapshots/VERSION/                          see `snapshots`

Nothing is written twice under one name but to forget it, and an entry's name follows from its record: where it lies in
Kafka, and whose call it is, so that a call's labels are found without reading all others. So a label counts once:
whoever reads it again, after a kill or beside another collector, finds it there. Entries are written
in the order of their offsets, so the last name of a partition says up to where it has been read. An entry is written
when its audio is durable; where it is missing, the label is read again.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.errors import UserError
from trainer.collection.entry import Entry, State
from trainer.data.snapshot_folders import AUDIO, DATASET
from undertone.storage.store import Store, open_store

_FORMAT = 1
_LABELS, _FORGOTTEN = "labels", "forgotten"
# An object store is asked for so many files at once.
_READ_AT_ONCE = 500


class Dataset:
    """One dataset. Several processes may write to it at once."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, place: str, option: str = "--dataset") -> "Dataset":
        """The dataset at a path or a URL; `create` makes one of it.

        Raises:
            UserError: there can be none.
        """
        return cls(open_store(place, option))

    def create(self) -> str:
        """Make the place a dataset, unless it is one. Returns the dataset's id.

        Raises:
            UserError: a later version of this program has made it.
            StoreAway: the store does not answer.
        """
        with suppress(FileExistsError):
            self.store.create(DATASET, json.dumps({"format": _FORMAT, "id": uuid4().hex}).encode())
        return self.id()

    def id(self) -> str:
        """The dataset's id.

        Raises:
            UserError: there is no dataset, or a later version of this program has made it.
        """
        if not self.store.exists(DATASET):
            raise UserError(f"{self.store.root}: no dataset; `undertone trainer collect` makes one")
        try:
            described = json.loads(self.store.read(DATASET))
            number, name = described["format"], UUID(described["id"]).hex
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.store.root}/{DATASET} is no description of a dataset") from None
        if number != _FORMAT:
            raise UserError(f"{self.store.root}: a dataset of format {number}, this version knows {_FORMAT}")
        return name

    def position(self, topic_id: UUID, partition: int) -> int | None:
        """The offset behind the last entry of a partition; None where there is none."""
        names = self._entry_names(_partition_folder(topic_id, partition))
        return int(names[-1].partition("-")[0]) + 1 if names else None

    def add(self, topic_id: UUID, call_id: str, entry: Entry, samples: NDArray[np.int16] | None = None) -> bool:
        """Keep an entry and its audio, durably. Returns False where it was there before.

        Args:
            call_id: the call that the record is about, whatever became of it.

        Raises:
            StoreAway: the store does not answer; perhaps it has it.
        """
        if samples is not None and entry.stretch:
            content = wav_of(samples, entry.stretch.rate)
            entry = entry.model_copy(update={"audio": hashlib.sha256(content).hexdigest()})
            self._create(audio_path(entry), content)
        path = f"{_partition_folder(topic_id, entry.partition)}/{entry.offset:012d}{_of_call(call_id)}"
        new = self._create(path, _json(entry))
        # Asked behind the write: another process may have been told to forget the call in between.
        if entry.label and self.is_forgotten(entry.call_id, entry.stream):
            self._forget_entry(path, entry)
        return new

    def is_forgotten(self, *keys: str) -> bool:
        """Whether a call or a stream is to be forgotten."""
        return any(self.store.exists(f"{_FORGOTTEN}/{hash_of(key)}") for key in keys)

    def marks(self) -> set[str]:
        """The hashes of all that is to be forgotten."""
        return set(self.store.names(_FORGOTTEN))

    def mark(self, key: str, models: Iterable[str] = ()) -> list[str]:
        """Mark a call or a stream as one to be forgotten, which `models` know. Returns all models that are known to."""
        path = f"{_FORGOTTEN}/{hash_of(key)}"
        before = _models(self.store.read(path)) if self.store.exists(path) else []
        known = sorted({*before, *models})
        self.store.replace(path, json.dumps({"models": known}).encode())
        return known

    def find(self, key: str) -> tuple[list[str], list[str]]:
        """The paths of a call's entries, forgotten ones too; and those of files never finished, which may be of it."""
        ending = _of_call(key.partition("/")[0])
        paths = [f"{folder}/{name}" for folder in self._partition_folders() for name in self.store.names(folder)]
        return [path for path in paths if path.endswith(ending)], [path for path in paths if not _is_entry(path)]

    def audio_of(self, key: str) -> list[str]:
        """The SHA-256 of each file of a call or a stream."""
        names = (path.rsplit("/", 1)[-1] for path in self._audio_files(key))
        return [name.removesuffix(".wav") for name in names if name.endswith(".wav")]

    def erase(self, key: str, entries: Iterable[str] = (), unfinished: Iterable[str] = ()) -> int:
        """Delete the labels and the audio of a marked call or stream, for good. Returns how many labels that were.

        Args:
            entries: as `find` says behind the mark.
            unfinished: likewise. A collector that is just writing one of them tries again.
        """
        erased = 0
        for path in entries:
            entry = _entry(path, self.store.read(path))
            if key in (entry.call_id, entry.stream):
                self._forget_entry(path, entry)
                erased += 1
        # What a killed collector has left goes, too: audio without an entry among it.
        for path in (*self._audio_files(key), *unfinished):
            self.store.remove(path)
        return erased

    def _audio_files(self, key: str) -> list[str]:
        call_id, _, channel = key.partition("/")
        of_call = f"{AUDIO}/{hash_of(call_id)}"
        folders = [hash_of(channel)] if channel else self.store.names(of_call)
        return [f"{of_call}/{folder}/{name}" for folder in folders for name in self.store.names(f"{of_call}/{folder}")]

    def entries(self) -> Iterator[Entry]:
        """All entries."""
        for folder in self._partition_folders():
            names = self._entry_names(folder)
            for start in range(0, len(names), _READ_AT_ONCE):
                some = names[start : start + _READ_AT_ONCE]
                for name, content in sorted(self.store.read_all(folder, some).items()):
                    yield _entry(f"{folder}/{name}", content)

    def _partition_folders(self) -> Sequence[str]:
        topics = self.store.names(_LABELS)
        return [f"{_LABELS}/{topic}/{name}" for topic in topics for name in self.store.names(f"{_LABELS}/{topic}")]

    def _entry_names(self, folder: str) -> list[str]:
        return [name for name in self.store.names(folder) if _is_entry(name)]

    def _forget_entry(self, path: str, entry: Entry) -> None:
        self.store.replace(path, _json(entry.forgotten()))
        if entry.audio:
            self.store.remove(audio_path(entry))

    def _create(self, path: str, content: bytes) -> bool:
        try:
            self.store.create(path, content)
        except FileExistsError:
            return False
        return True


def hash_of(name: str) -> str:
    """How names of calls, channels and streams appear in paths."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def audio_path(entry: Entry) -> str:
    """Where the audio of an entry lies."""
    call_id, _, channel = entry.stream.partition("/")
    return f"{AUDIO}/{hash_of(call_id)}/{hash_of(channel)}/{entry.audio}.wav"


def wav_of(samples: NDArray[np.int16], rate: int) -> bytes:
    """A WAV file of 16 bits: the same samples give the same bytes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def kept(entry: Entry) -> bool:
    """Whether there is something to learn from an entry."""
    return entry.state is State.COLLECTED and entry.label is not None and entry.audio is not None


def _partition_folder(topic_id: UUID, partition: int) -> str:
    return f"{_LABELS}/{topic_id.hex}/{partition:05d}"


def _is_entry(path: str) -> bool:
    """Whether it is one; else a killed process has begun it under a name of its own."""
    return path.endswith(".json")


def _of_call(call_id: str) -> str:
    """How the names of a call's entries end."""
    return f"-{hash_of(call_id)[:16]}.json"


def _models(mark: bytes) -> list[str]:
    try:
        return [str(name) for name in json.loads(mark)["models"]]
    except (ValueError, KeyError, TypeError):
        return []


def _json(entry: Entry) -> bytes:
    return entry.model_dump_json(indent=1, exclude_none=True).encode()


def _entry(path: str, content: bytes) -> Entry:
    try:
        return Entry.model_validate_json(content)
    except ValidationError as error:
        raise UserError(
            f"{path} of the dataset is damaged: {error.error_count()} fields are not as they were"
        ) from None

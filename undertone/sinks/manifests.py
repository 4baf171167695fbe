"""The log of one partition's commits: numbered manifests, each the files that it adds and the position behind them.

A manifest is created, never changed, and only one sink can create a given number. So the number is the fence: whoever
claims a partition creates the next one, and an earlier owner, who would create the same, is told that it has lost.

Data files are staged under names that no reader takes for data. Once their manifest is there they get their final
names; what a killed sink has left to rename, the next owner renames. So a reader of the final names sees committed
files only, and each of them once.
"""

import logging

from pydantic import BaseModel, ConfigDict

from undertone.sinks.target import Fenced
from undertone.storage.store import Store

log = logging.getLogger(__name__)

# Older ones are for people who look into it. What makes a zombie's late one worthless is the look behind it.
_KEPT = 100


class StagedFile(BaseModel):
    """A data file: where it was written, and where it belongs."""

    model_config = ConfigDict(frozen=True)

    staged: str
    path: str
    rows: int


class Manifest(BaseModel):
    """One commit. `next_offset` is the first record that is not in a file; None where none was read."""

    model_config = ConfigDict(frozen=True)

    number: int
    writer: str
    topic: str
    partition: int
    next_offset: int | None
    files: tuple[StagedFile, ...] = ()


class CommitLog:
    """The log as one sink sees it, which calls itself `writer`."""

    def __init__(self, store: Store, folder: str, staging: str, writer: str, topic: str, partition: int) -> None:
        self._store = store
        self._folder = folder
        self._staging = staging
        self._writer = writer
        self._topic = topic
        self._partition = partition
        self._number = 0

    def claim(self) -> int | None:
        """Take the partition over: finish what the last owner has committed, and delete what it has not.

        Returns the position.
        """
        while True:
            latest = self._latest()
            if latest:
                self._publish(latest)
            number = latest.number + 1 if latest else 1
            position = latest.next_offset if latest else None
            if self._create(number, position):
                break
        self._number = number
        for name in self._store.names(self._staging):
            self._store.remove(f"{self._staging}/{name}")
        for name in self._store.names(self._folder):
            if not name.endswith(".json") or _number(name) <= number - _KEPT:
                self._store.remove(f"{self._folder}/{name}")
        return position

    def commit(self, position: int, files: tuple[StagedFile, ...]) -> None:
        """Add files and move the position.

        Raises:
            Fenced: another sink has claimed the partition.
        """
        number = self._number + 1
        # An owner of long ago may find its number deleted, and free: the look behind tells it.
        if not self._create(number, position, files) or _number(self._names()[-1]) != number:
            raise Fenced(f"another sink has taken over partition {self._partition}")
        self._number = number
        self._publish(self._manifest(number, position, files))
        self._store.remove(f"{self._folder}/{_name(number - _KEPT)}")

    def _create(self, number: int, position: int | None, files: tuple[StagedFile, ...] = ()) -> bool:
        """Create a manifest; False where another sink has created this number."""
        manifest = self._manifest(number, position, files)
        path = f"{self._folder}/{_name(number)}"
        try:
            self._store.create(path, manifest.model_dump_json(indent=1).encode())
        except FileExistsError:
            # Ours, where the answer to a put was lost and the driver has tried again.
            return Manifest.model_validate_json(self._store.read(path)) == manifest
        return True

    def _manifest(self, number: int, position: int | None, files: tuple[StagedFile, ...]) -> Manifest:
        return Manifest(
            number=number,
            writer=self._writer,
            topic=self._topic,
            partition=self._partition,
            next_offset=position,
            files=files,
        )

    def _publish(self, manifest: Manifest) -> None:
        """Give the files of a manifest their names, those that have not got them yet."""
        for file in manifest.files:
            if self._store.exists(file.staged):
                self._store.move(file.staged, file.path)

    def _names(self) -> list[str]:
        return [name for name in self._store.names(self._folder) if name.endswith(".json")]

    def _latest(self) -> Manifest | None:
        names = self._names()
        return Manifest.model_validate_json(self._store.read(f"{self._folder}/{names[-1]}")) if names else None


def _name(number: int) -> str:
    return f"{number:012d}.json"


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))

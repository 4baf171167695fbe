"""Files on a disk or in an object store, through fsspec: the few steps that committing files needs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import UserError, one_line


class StoreAway(Exception):
    """The store does not answer now. Whether what was under way has arrived, it will tell when it is back."""


class Store:
    """An object store: an object appears whole, and `create` is a put that fails where there is one already.

    S3, Google's and Azure's have that (If-None-Match and its like), and fsspec's drivers for them ask for it by the
    mode "create". A driver that does not know it looks first and then writes: two services must not share such a place.
    """

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self.root = root.rstrip("/")

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, in order; none where there is no folder."""
        with self._told():
            self._fs.invalidate_cache()  # a driver may keep listings, and others write there
            try:
                found = self._fs.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
            return sorted(name.rsplit("/", 1)[-1] for name in found)

    def read(self, path: str) -> bytes:
        """A file's content."""
        with self._told():
            return bytes(self._fs.cat_file(self._path(path)))

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:
        """The content of several files of a folder by their names, asked for at once where the driver can."""
        with self._told():
            found = self._fs.cat([self._path(f"{folder}/{name}") for name in names])
            return {path.rsplit("/", 1)[-1]: bytes(content) for path, content in found.items()}

    def exists(self, path: str) -> bool:
        """Whether there is such a file now."""
        with self._told():
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._path(path)))

    def write(self, path: str, content: bytes) -> None:
        """Write a file that nobody else writes."""
        with self._writing():
            self._fs.pipe_file(self._path(path), content)

    def create(self, path: str, content: bytes) -> None:
        """Write a file, whole and at once, unless it exists.

        Raises:
            FileExistsError: it does.
        """
        with self._writing():
            self._fs.pipe_file(self._path(path), content, mode="create")

    def replace(self, path: str, content: bytes) -> None:
        """Write a file, whole and at once, in place of the one that is there."""
        with self._writing():
            self._fs.pipe_file(self._path(path), content)

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine's disk; None for an object store."""
        return None

    def move(self, path: str, to: str) -> None:
        """Give a file its final name, under which it appears whole; nothing where another one has done it."""
        with self._told(), suppress(FileNotFoundError):
            self._fs.mv(self._path(path), self._path(to))

    def remove(self, path: str) -> None:
        """Delete a file; nothing where there is none."""
        with self._told(), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(path))

    def _path(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What a store refuses, as one line: to be tried again, or to be mended by a person."""
        try:
            yield
        except (FileExistsError, UserError):
            raise
        except (PermissionError, NotADirectoryError) as error:
            raise UserError(f"{self.root} cannot be written: {one_line(error)}") from error
        except Exception as error:  # each driver has exceptions of its own
            raise StoreAway(f"{self.root}: {type(error).__name__}: {one_line(error)}") from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Folders of an object store need no making, so whatever is missing for a write is the bucket."""
        with self._told():
            try:
                yield
            except FileNotFoundError as error:
                raise UserError(f"{self.root} cannot be written: there is no such bucket; create it first") from error


class LocalStore(Store):
    """A folder on a disk: what is written is synced before it counts."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file that nobody else writes."""
        with self._told():
            self._write(Path(self._path(path)), content)

    def create(self, path: str, content: bytes) -> None:
        """Write under a name of its own, and then link: only a link fails where there is one, and is whole at once."""
        final = Path(self._path(path))
        written = final.with_name(f"{uuid4().hex}.tmp")
        with self._told():
            self._write(written, content)
            try:
                final.hardlink_to(written)
            finally:
                written.unlink()
            _sync(final.parent)

    def replace(self, path: str, content: bytes) -> None:
        """Write under a name of its own, and rename."""
        final = Path(self._path(path))
        written = final.with_name(f"{uuid4().hex}.tmp")
        with self._told():
            self._write(written, content)
            written.replace(final)
            _sync(final.parent)

    @property
    def folder(self) -> Path | None:
        """Where it lies."""
        return Path(self.root)

    def move(self, path: str, to: str) -> None:
        """Give a file its final name; nothing where another one has done it."""
        final = Path(self._path(to))
        with self._told(), suppress(FileNotFoundError):
            final.parent.mkdir(parents=True, exist_ok=True)
            Path(self._path(path)).replace(final)
            _sync(final.parent)

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def open_store(url: str, option: str) -> Store:
    """The store that a URL names: `file:///...`, a path, `s3://bucket/...`; `option` is where it was given.

    Raises:
        UserError: no such kind of store, or its driver is not installed.
    """
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UserError(f"{option} {url.split('?', maxsplit=1)[0]}: {one_line(error)}") from error
    return LocalStore(fs, root) if isinstance(fs, LocalFileSystem) else Store(fs, root)


def _sync(folder: Path) -> None:
    """Let a folder's new entry outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

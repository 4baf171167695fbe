"""A SQLite file of the console's: used by several threads, one of them at a time."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from schemas.errors import UserError

# Nobody but us writes to it: who holds it for longer is a mistake to be told.
_BUSY_S = 2.0


class Database:
    """A file with this schema; one of another version is begun anew where it can be made again, else refused."""

    def __init__(self, path: Path, schema: str, version: int, *, made_again: bool) -> None:
        self.path = path
        self._lock = RLock()
        try:
            self._connection = self._open(schema, version)
        except sqlite3.DatabaseError as error:
            if not made_again:
                raise UserError(f"{path}: {error}; move it away, and what it knew is known no more") from None
            for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                name.unlink(missing_ok=True)
            self._connection = self._open(schema, version)

    def _open(self, schema: str, version: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # What is deleted is not to be read from the file either.
            connection.execute("PRAGMA secure_delete = ON")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found not in (0, version):
                raise sqlite3.DatabaseError(f"written by another version of Undertone ({found}, not {version})")
            connection.executescript(f"BEGIN; {schema}; PRAGMA user_version = {version}; COMMIT")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing of what is done in it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a SELECT finds."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def settle(self) -> None:
        """Leave nothing of what was deleted in the log beside the file."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Use it no more."""
        with self._lock:
            self._connection.close()


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """A folder that no other console has, as long as this one runs.

    Raises:
        UserError: it cannot be written, or another one has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    except BlockingIOError:
        raise UserError(f"another console has {folder}: give each one its own UNDERTONE_CONSOLE_FOLDER") from None
    except PermissionError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}): set UNDERTONE_CONSOLE_FOLDER") from None

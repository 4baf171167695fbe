"""A real PostgreSQL for tests: Debian's own, in a temporary folder, on a free port of this machine."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.installation import wait_for
from undertone.devbroker.broker import free_port

# It refuses to run as root, and Debian's package brings this user.
_USER = "postgres"


def binaries() -> Path:
    """Where `initdb` and `postgres` are; skips the test where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    return found[-1].parent


class PostgresServer:
    """One server; databases of their own for those who share it."""

    def __init__(self, folder: Path) -> None:
        self._bin = binaries()
        self._data = folder / "data"
        self._log = folder / "server.log"
        self.port = free_port(0)
        self._as_user: dict[str, str] = {}
        if os.geteuid() == 0:
            self._as_user = {"user": _USER, "group": _USER}
            shutil.chown(folder, _USER, _USER)
        # No locale of the machine's, no sync: it does not have to outlive a loss of power.
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", _USER, "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = ["-p", str(self.port), "-c", "fsync=off", "-c", "unix_socket_directories="]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                **self._as_user,  # type: ignore[call-overload]
            )
        wait_for(self._answers, "PostgreSQL", said=self._log.read_text)

    def stop(self, mode: str = "immediate") -> None:
        """Stop: `immediate` is like a crash, it recovers at the next start."""
        self._run("pg_ctl", "stop", "-D", self._data, "-m", mode, "-w")
        self._server.wait(60)

    def dsn(self, database: str, user: str = _USER) -> str:
        """How to connect to a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A database of its own; returns its DSN."""
        name = f"d{uuid.uuid4().hex[:10]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.dsn(name)

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as_user)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="undertone-postgres-") as folder:
        server = PostgresServer(Path(folder))
        yield server
        server.stop()

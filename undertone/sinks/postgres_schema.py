"""The tables and views in schema `undertone`: numbered migrations, each applied once, by one process at a time."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from uuid import uuid4

import psycopg

from schemas.errors import UserError

# Any number that no other program takes for its own advisory lock: "undertone" in ASCII, cut to 64 bits.
_LOCK = int.from_bytes(b"undrtone")


def migrations() -> Iterator[tuple[int, str, str]]:
    """(number, name, SQL) of each migration, in order."""
    folder = files("undertone.sinks") / "migrations"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".sql"):
            yield int(path.name.split("-")[0]), path.name, path.read_text(encoding="utf-8")


def migrate(connection: psycopg.Connection) -> str:
    """Bring the schema up to date. Returns the id that tells this database from others.

    Raises:
        UserError: the role may not, or a newer version has been here.
        psycopg.Error: what else can go wrong.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            return _migrate(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        info = connection.info
        raise UserError(
            f"PostgreSQL: role {info.user} may not set up schema undertone in database {info.dbname}"
            f" ({error.diag.message_primary}); it needs CREATE on the database, and to own what it created"
        ) from error


def _migrate(connection: psycopg.Connection) -> str:
    # Asked before: CREATE SCHEMA IF NOT EXISTS wants the right to create also where there is nothing to create.
    if _one(connection, "SELECT to_regnamespace('undertone')") is None:
        connection.execute("CREATE SCHEMA undertone")
    if _one(connection, "SELECT to_regclass('undertone.migrations')") is None:
        connection.execute(
            "CREATE TABLE undertone.migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        connection.execute("CREATE TABLE undertone.place (id uuid PRIMARY KEY)")
        connection.execute("INSERT INTO undertone.place VALUES (%s)", [uuid4()])
    applied = _one(connection, "SELECT coalesce(max(number), 0) FROM undertone.migrations")
    known = list(migrations())
    if applied > known[-1][0]:
        raise UserError(
            f"PostgreSQL: schema undertone in database {connection.info.dbname} is of a newer version"
            f" (migration {applied}, this one knows {known[-1][0]}): update this sink"
        )
    for number, name, sql in known:
        if number > applied:
            connection.execute(sql.encode())
            connection.execute("INSERT INTO undertone.migrations (number, name) VALUES (%s, %s)", [number, name])
    return str(_one(connection, "SELECT id FROM undertone.place"))


def _one(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None

"""PostgreSQL: rows and positions in one transaction, so that each event is there once, whatever dies when."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from schemas.errors import UserError, one_line
from undertone.sinks.events import StoredEvent
from undertone.sinks.postgres_schema import migrate
from undertone.sinks.target import Batch, Fenced, Limits, Source, TargetAway, Written

_TABLES = {"segment": "segments", "summary": "summaries", "update": "updates"}
# Columns of a row that a table does not have; `type` is the table itself.
_LACKS = {"segment": {"type", "segments"}, "summary": {"type"}, "update": {"type", "segments", "ended_by"}}
# A server that is gone without a word is noticed after this; libpq's own default is the kernel's, a quarter of an hour.
_DEFAULTS: dict[str, int | str] = {
    "connect_timeout": 10,
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "application_name": "undertone-sink",
}
# What libpq says where waiting does not help; it gives no code for a connection that did not come about.
_MISTAKES = re.compile(
    r'authentication failed|no password supplied|no pg_hba\.conf entry|(database|role) ".*" does not exist'
    r"|not permitted to log in|permission denied for database|server does not support SSL|invalid .* value",
)

Rows = list[dict[str, Any]]


class Postgres:
    """One connection, and the epochs under which it owns its partitions."""

    name = "PostgreSQL"
    # 5 ms a transaction and 20 of them for 1,000 calls that speak: a fifth of a second collects some 100 rows.
    limits = Limits(records=2_000, bytes=8 * 1024 * 1024, seconds=0.2)
    keeps_positions = True
    drops_repeats = True

    def __init__(self, dsn: str) -> None:
        try:
            given = conninfo_to_dict(dsn)
            self._conninfo = make_conninfo(dsn, **{name: _DEFAULTS[name] for name in _DEFAULTS.keys() - given.keys()})
        except psycopg.Error:
            # libpq's message repeats the string, password and all.
            raise UserError(
                "--dsn: no connection string of PostgreSQL; it looks like postgresql://user:password@host:5432/database"
            ) from None
        self._connection: psycopg.Connection | None = None
        self._epochs: dict[tuple[Source, int], int] = {}

    def open(self) -> str:
        """Connect and bring the schema up to date; see `Target.open`."""
        self.close()
        try:
            self._connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            line = f"PostgreSQL: {one_line(error, 300)}"
            if _MISTAKES.search(line):
                raise UserError(line) from error
            raise TargetAway(line) from error
        with _told():
            return migrate(self._connection)

    def claim(self, source: Source, partitions: Collection[int]) -> dict[int, int | None]:
        """Count the owners up: whoever holds an older number cannot write any more."""
        kept: dict[int, int | None] = {}
        with _told(), self._transaction() as connection:
            for number in sorted(partitions):
                row = connection.execute(
                    """
                    INSERT INTO undertone.positions AS p (topic_id, partition, topic, epoch) VALUES (%s, %s, %s, 1)
                    ON CONFLICT (topic_id, partition) DO UPDATE SET epoch = p.epoch + 1, claimed_at = now()
                    RETURNING next_offset, epoch
                    """,
                    [source.topic_id, number, source.topic],
                ).fetchone()
                if row:
                    kept[number], self._epochs[source, number] = row
        return kept

    def write(self, source: Source, batch: Batch, stopping: Callable[[], bool]) -> Written:
        """Positions first: their rows are locked until the end, and an earlier owner is told at once."""
        with _told(), self._transaction() as connection:
            for number, position in sorted(batch.positions.items()):
                moved = connection.execute(
                    "UPDATE undertone.positions SET next_offset = %s, written_at = now()"
                    " WHERE topic_id = %s AND partition = %s AND epoch = %s",
                    [position, source.topic_id, number, self._epochs.get((source, number))],
                )
                if moved.rowcount != 1:
                    raise Fenced(f"PostgreSQL: another sink has taken over partition {number}")
            new = sum(_insert(connection, kind, batch.events) for kind in _TABLES)
        return Written(batch.positions, repeats=len(batch.events) - new)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        if not self._connection:
            raise TargetAway("PostgreSQL: not connected")
        with self._connection.transaction():
            yield self._connection


def _insert(connection: psycopg.Connection, kind: str, events: Iterable[StoredEvent]) -> int:
    """Returns how many of them are new."""
    rows = [_row(kind, event) for event in events if event.envelope.data.type == kind]
    if not rows:
        return 0
    query = sql.SQL("INSERT INTO undertone.{} ({}) VALUES ({}) ON CONFLICT (id) DO NOTHING").format(
        sql.Identifier(_TABLES[kind]),
        sql.SQL(", ").join(map(sql.Identifier, rows[0])),
        sql.SQL(", ").join(map(sql.Placeholder, rows[0])),
    )
    with connection.cursor() as cursor:
        cursor.executemany(query, rows)
        return cursor.rowcount


def _row(kind: str, event: StoredEvent) -> dict[str, Any]:
    columns = {name: value for name, value in event.columns().items() if name not in _LACKS[kind]}
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in columns.items()}


@contextmanager
def _told() -> Iterator[None]:
    """What PostgreSQL refuses, as one line: to be tried again, or to be mended by a person."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
        # Gone, full, starting, shutting down, read-only after a failover, a deadlock: all of them pass.
        raise TargetAway(f"PostgreSQL: {one_line(error)}") from error
    except psycopg.Error as error:
        raise UserError(f"PostgreSQL: {one_line(error)}") from error

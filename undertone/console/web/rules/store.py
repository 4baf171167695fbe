"""What rules have found and how far they have read, in one place: a restart loses nothing, and finds nothing twice."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from undertone.console.web.database import Database

FILE, _VERSION = "rules.db", 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, read_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS met (
    rule TEXT, call TEXT, channel TEXT, since_ms INTEGER NOT NULL, reason TEXT NOT NULL, alert TEXT NOT NULL,
    PRIMARY KEY (rule, call, channel)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, rule TEXT NOT NULL, call TEXT NOT NULL, channel TEXT NOT NULL,
    moment_ms INTEGER NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL DEFAULT 0, answer TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS waiting ON alerts (next_ms) WHERE state = 'waiting';
"""
# The newest alerts are kept, so many and all that wait.
_KEPT = 10_000

Key = tuple[str, str, str]
"""Rule, call, channel."""


@dataclass(slots=True)
class Held:
    """A rule that a call meets. `alert` is the id of its alert; empty while it waits for `again`."""

    since_ms: int
    reason: str
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One time that a rule was met. `state` is where its webhook stands: `none`, `waiting`, `sent`, `given up`."""

    id: str
    rule: str
    call: str
    channel: str
    moment_ms: int
    body: str
    state: str
    tries: int = 0
    answer: str = ""


_COLUMNS = "id, rule, call, channel, moment_ms, body, state, tries, answer"


class Store:
    """For several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def topic(self) -> str:
        """The id of the topic whose positions are kept; empty where none are."""
        return next((str(one) for (one,) in self._database.rows("SELECT id FROM topic")), "")

    def positions(self) -> dict[int, tuple[int, int]]:
        """For each partition what is read next, and Kafka's time of the last record that was read."""
        return {one: (position, at) for one, position, at in self._database.rows("SELECT * FROM positions")}

    def begin(self, topic: str, rules: Collection[str], *, anew: bool) -> None:
        """Positions are those of this topic; with `anew` there are none. Of rules that are gone nothing is met."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM topic")
            connection.execute("INSERT INTO topic VALUES (?)", [topic])
            if anew:
                connection.execute("DELETE FROM positions")
                connection.execute("DELETE FROM met")
            marks = ", ".join("?" * len(rules))
            connection.execute(f"DELETE FROM met WHERE rule NOT IN ({marks})", list(rules))  # noqa: S608

    def met(self) -> dict[Key, Held]:
        """What was met when the positions were kept."""
        rows = self._database.rows("SELECT rule, call, channel, since_ms, reason, alert FROM met")
        return {(rule, call, channel): Held(*held) for rule, call, channel, *held in rows}

    def last(self, since_ms: float) -> dict[Key, int]:
        """When there was an alert last, by what it was about, as far as that is later."""
        rows = self._database.rows(
            "SELECT rule, call, channel, max(moment_ms) FROM alerts WHERE moment_ms > ? GROUP BY 1, 2, 3", since_ms
        )
        return {(rule, call, channel): moment for rule, call, channel, moment in rows}

    def keep(
        self,
        positions: Mapping[int, tuple[int, int]],
        alerts: Iterable[Alert],
        met: Mapping[Key, Held],
        gone: Iterable[Key],
    ) -> None:
        """All that came of some records, and where reading stands after them."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", [(one, *at) for one, at in positions.items()]
            )
            connection.executemany("DELETE FROM met WHERE (rule, call, channel) = (?, ?, ?)", list(gone))
            connection.executemany(
                "INSERT OR REPLACE INTO met VALUES (?, ?, ?, ?, ?, ?)",
                [(*key, held.since_ms, held.reason, held.alert) for key, held in met.items()],
            )
            fresh = [(one.id, one.rule, one.call, one.channel, one.moment_ms, one.body, one.state) for one in alerts]
            connection.executemany(
                "INSERT OR IGNORE INTO alerts (id, rule, call, channel, moment_ms, body, state)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                fresh,
            )
            if fresh:
                connection.execute(
                    "DELETE FROM alerts WHERE state != 'waiting' AND number <= (SELECT max(number) FROM alerts) - ?",
                    [_KEPT],
                )

    def due(self, now_ms: float, count: int) -> list[Alert]:
        """Alerts whose webhook is to be called now, the oldest first."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM alerts WHERE state = 'waiting' AND next_ms <= ? ORDER BY number LIMIT ?",  # noqa: S608
            now_ms,
            count,
        )
        return [Alert(*row) for row in rows]

    def answered(self, identity: str, state: str, answer: str, next_ms: float = 0) -> None:
        """What came of a try."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE alerts SET state = ?, answer = ?, next_ms = ?, tries = tries + 1 WHERE id = ?",
                [state, answer, next_ms, identity],
            )

    def newest(self, count: int, call: str | None = None) -> list[Alert]:
        """The newest alerts, the newest first: of all calls, or of one."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM alerts WHERE ? IS NULL OR call = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            call,
            call,
            count,
        )
        return [Alert(*row) for row in rows]

    def waiting(self) -> int:
        """How many alerts wait for their webhook."""
        return int(self._database.rows("SELECT count(*) FROM alerts WHERE state = 'waiting'")[0][0])

    def forget(self, call: str, at_ms: int) -> None:
        """Erase what is known of a call up to a moment; what waits is not sent any more."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM alerts WHERE call = ? AND moment_ms <= ?", [call, at_ms])
            connection.execute("DELETE FROM met WHERE call = ? AND since_ms <= ?", [call, at_ms])
        self._database.settle()


def open_database(path: Any) -> Database:
    """The store's file."""
    return Database(path, _SCHEMA, _VERSION, made_again=False)


def data_of(alert: Alert) -> dict[str, Any]:
    """What an alert says."""
    found: dict[str, Any] = json.loads(alert.body)["data"]
    return found

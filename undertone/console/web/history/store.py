"""The history's file. Positions are written with what was read; where the file is deleted all of it is read again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from schemas.events import Segment, Summary
from schemas.labels import EmotionLabel
from undertone.console.web.database import Database
from undertone.console.web.entries import Entry
from undertone.console.web.labels import Said

FILE, _VERSION = "history.db", 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    over INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (last_ms);
CREATE TABLE IF NOT EXISTS events (
    partition INTEGER, offset INTEGER, call INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT NOT NULL,
    start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL, moment_ms INTEGER NOT NULL, label TEXT NOT NULL,
    data TEXT NOT NULL, PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_of_call ON events (call, channel, end_sample);
CREATE TABLE IF NOT EXISTS speech (
    call INTEGER, emotion TEXT, role TEXT, seconds REAL NOT NULL, PRIMARY KEY (call, emotion, role)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS speech_by_emotion ON speech (emotion, seconds);
CREATE TABLE IF NOT EXISTS labels (
    call TEXT, channel TEXT, start_sample INTEGER, end_sample INTEGER, person TEXT, emotion TEXT NOT NULL,
    at_ms INTEGER NOT NULL, PRIMARY KEY (call, channel, start_sample, end_sample, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (call TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
"""
_PRUNED = 0.05


@dataclass(frozen=True, slots=True)
class Past:
    """A segment or summary, and what of it is searched for."""

    entry: Entry
    event: Segment | Summary
    at_ms: int


@dataclass(frozen=True, slots=True)
class Query:
    """Calls between two moments, ms, whose id begins so, and in which an emotion was heard for so long."""

    since_ms: int = 0
    until_ms: int = 2**62
    call: str = ""
    emotion: str = ""
    seconds: float = 0.0
    limit: int = 100


class Store:
    """For several threads."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._database = Database(folder / FILE, _SCHEMA, _VERSION, made_again=True)
        self._most_bytes = most_bytes

    def close(self) -> None:
        """Use it no more."""
        self._database.close()

    def begin(self, ids: Mapping[str, str]) -> dict[tuple[str, int], int]:
        """Positions by topic and partition. Where one of the topics is another than before, all begins anew."""
        if dict(self._database.rows("SELECT name, id FROM topics")) != dict(ids):
            with self._database.transaction() as connection:
                for table in ("topics", "positions", "calls", "events", "speech", "labels", "forgotten"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608
                connection.executemany("INSERT INTO topics VALUES (?, ?)", list(ids.items()))
        return {(topic, part): at for topic, part, at in self._database.rows("SELECT * FROM positions")}

    def keep(
        self,
        past: Iterable[Past],
        labels: Iterable[tuple[EmotionLabel, int]],
        forgotten: Iterable[tuple[str, int]],
        positions: Mapping[tuple[str, int], int],
    ) -> None:
        """What came of some records, and where reading stands after them."""
        calls = list(forgotten)
        with self._database.transaction() as connection:
            for call, at_ms in calls:
                _forget(connection, call, at_ms)
            known = dict(connection.execute("SELECT call, at_ms FROM forgotten").fetchall())
            for one in past:
                if known.get(_hidden(one.event.call_id), -1) < one.entry.moment_ms:
                    _add(connection, one)
            for label, at_ms in labels:
                if known.get(_hidden(label.call_id), -1) < at_ms:
                    _say(connection, label, at_ms)
            places = [(topic, part, at) for (topic, part), at in positions.items()]
            connection.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", places)
        if calls:
            self._database.settle()

    def prune(self, firsts: Mapping[int, int]) -> None:
        """Drop what the topic does not hold any more, from its first offsets; and the oldest calls of too many."""
        with self._database.transaction() as connection:
            for partition, first in firsts.items():
                connection.execute("DELETE FROM events WHERE partition = ? AND offset < ?", [partition, first])
            _drop(connection, "NOT EXISTS (SELECT 1 FROM events WHERE events.call = calls.number)")
            ((pages,),), ((free,),), ((size,),) = (
                connection.execute(f"PRAGMA {name}").fetchall()
                for name in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size > self._most_bytes:
                ((count,),) = connection.execute("SELECT count(*) FROM calls").fetchall()
                oldest = "number IN (SELECT number FROM calls ORDER BY last_ms LIMIT ?)"
                _drop(connection, oldest, int(count * _PRUNED) + 1)

    def search(self, query: Query) -> list[dict[str, Any]]:
        """Calls, the newest first."""
        where, values = ["last_ms >= ?", "first_ms <= ?"], [query.since_ms, query.until_ms]
        more: list[Any] = []
        if query.call:
            where.append("substr(id, 1, ?) = ?")
            more += [len(query.call), query.call]
        if query.emotion:
            where.append("(SELECT sum(seconds) FROM speech WHERE speech.call = calls.number AND emotion = ?) >= ?")
            more += [query.emotion, max(query.seconds, 1e-9)]
        rows = self._database.rows(
            f"SELECT number, id, first_ms, last_ms, over FROM calls WHERE {' AND '.join(where)}"  # noqa: S608
            " ORDER BY last_ms DESC LIMIT ?",
            *values,
            *more,
            query.limit,
        )
        found = []
        for number, identity, first_ms, last_ms, over in rows:
            heard = self._database.rows(
                "SELECT emotion, sum(seconds) FROM speech WHERE call = ? GROUP BY emotion ORDER BY 2 DESC", number
            )
            said = [[emotion, round(seconds, 1)] for emotion, seconds in heard]
            found.append({"call": identity, "first": first_ms, "last": last_ms, "over": bool(over), "speech": said})
        return found

    def emotions(self) -> list[str]:
        """All that were heard."""
        return [one for (one,) in self._database.rows("SELECT DISTINCT emotion FROM speech ORDER BY 1")]

    def count(self) -> int:
        """How many calls it knows."""
        return int(self._database.rows("SELECT count(*) FROM calls")[0][0])

    def of_call(self, call: str) -> list[Entry]:
        """The segments and summaries of a call, by channel and in their order."""
        rows = self._database.rows(
            "SELECT partition, offset, channel, type, moment_ms, label, data FROM events"
            " WHERE call = (SELECT number FROM calls WHERE id = ?) ORDER BY channel, partition, offset",
            call,
        )
        return [
            Entry(partition, offset, f"{call}/{channel}", False, moment_ms, data, kind, (), label)
            for partition, offset, channel, kind, moment_ms, label, data in rows
        ]

    def said_of(self, call: str) -> list[Said]:
        """What people say of a call's utterances, and what they have taken back."""
        return [_said(row) for row in self._database.rows(f"{_SAID} AND labels.call = ?", call)]

    def said(self, since_ms: int) -> list[Said]:
        """The same of all utterances that came after a moment."""
        return [_said(row) for row in self._database.rows(f"{_SAID} AND events.moment_ms >= ?", since_ms)]


_SAID = """SELECT events.partition, events.offset, labels.call, labels.emotion, labels.person, labels.at_ms FROM labels
JOIN calls ON calls.id = labels.call JOIN events ON events.call = calls.number AND events.channel = labels.channel
AND events.end_sample = labels.end_sample AND events.start_sample = labels.start_sample
WHERE events.type = 'segment'"""


def _said(row: tuple[Any, ...]) -> Said:
    partition, offset, call, emotion, person, at_ms = row
    return Said((partition, offset), call, emotion, person, at_ms)


def _hidden(call: str) -> str:
    """Of a call that is forgotten the id is not kept either."""
    return sha256(call.encode()).hexdigest()


def _forget(connection: Connection, call: str, at_ms: int) -> None:
    """Erase what was written of a call up to a moment; what comes later is another matter."""
    _drop(connection, "id = ? AND NOT EXISTS (SELECT 1 FROM events WHERE call = number AND moment_ms > ?)", call, at_ms)
    connection.execute(
        "DELETE FROM events WHERE moment_ms <= ? AND call = (SELECT number FROM calls WHERE id = ?)", [at_ms, call]
    )
    connection.execute("DELETE FROM labels WHERE call = ? AND at_ms <= ?", [call, at_ms])
    connection.execute("INSERT OR REPLACE INTO forgotten VALUES (?, ?)", [_hidden(call), at_ms])


def _drop(connection: Connection, which: str, *values: Any) -> None:
    numbers = connection.execute(f"SELECT number, id FROM calls WHERE {which}", values).fetchall()  # noqa: S608
    for number, identity in numbers:
        connection.execute("DELETE FROM events WHERE call = ?", [number])
        connection.execute("DELETE FROM speech WHERE call = ?", [number])
        connection.execute("DELETE FROM labels WHERE call = ?", [identity])
        connection.execute("DELETE FROM calls WHERE number = ?", [number])


def _add(connection: Connection, one: Past) -> None:
    event, entry = one.event, one.entry
    over = isinstance(event, Summary)
    begun_ms = one.at_ms - (event.end_sample - event.start_sample) * 1000 // event.sample_rate
    ((number,),) = connection.execute(
        "INSERT INTO calls (id, first_ms, last_ms, over) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms), over = excluded.over"
        " RETURNING number",
        [event.call_id, begun_ms, one.at_ms, over],
    ).fetchall()
    connection.execute(
        "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            entry.partition, entry.offset, number, event.channel, event.type, event.start_sample, event.end_sample,
            entry.moment_ms, event.label, entry.data,
        ],
    )  # fmt: skip
    if not over:
        connection.execute(
            "INSERT INTO speech VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
            [number, event.label, event.role.value, event.speech_s],
        )


def _say(connection: Connection, label: EmotionLabel, at_ms: int) -> None:
    """Keep a person's last word. One that was taken back stays as an empty one: it is newer than what it takes back."""
    place = [label.call_id, label.channel, label.start_sample, label.end_sample, label.labelled_by]
    if label.start_sample is not None and label.end_sample is not None:
        word = "" if label.withdrawn else label.emotion
        connection.execute("INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", [*place, word, at_ms])

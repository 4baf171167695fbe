"""`undertone sink postgres` on a real PostgreSQL: its rows are the events, whatever is killed, stopped or restarted."""

import json
import re
import signal
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from schemas.events import EventEnvelope
from tests.sinks.carrying import RATE, START, Carrying, call_events, columns_of, metric
from tests.support.installation import wait_for
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer

TABLES = {"segment": "segments", "summary": "summaries", "update": "updates"}


def count(dsn: str) -> int:
    """Rows of all tables; 0 while there are none, or no server."""
    try:
        with psycopg.connect(dsn) as connection:
            query = " + ".join(f"(SELECT count(*) FROM undertone.{table})" for table in TABLES.values())  # noqa: S608
            row = connection.execute(f"SELECT {query}".encode()).fetchone()
            return int(row[0]) if row else 0
    except psycopg.Error:
        return 0


def rows(dsn: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def assert_rows_are(dsn: str, events: dict[str, EventEnvelope]) -> None:
    """Each event is one row with what it says, and there is no other row."""
    found = {}
    for kind, table in TABLES.items():
        for row in rows(dsn, f"SELECT * FROM undertone.{table}"):  # noqa: S608  names of ours
            assert row["id"] not in found
            found[row["id"]] = row | {"type": kind}
    assert found.keys() == events.keys()
    places = [(row["kafka_partition"], row["kafka_offset"]) for row in found.values()]
    assert len(set(places)) == len(places)
    for event in events.values():
        row, data = found[event.id], columns_of(event)
        assert {name: row[name] for name in data} == data
        assert row["ended_at"] == event.time
        if event.data.audio:
            assert row["audio_last_offset"] == event.data.audio.last_offset


def no_updates(events: dict[str, EventEnvelope]) -> dict[str, EventEnvelope]:
    return {name: event for name, event in events.items() if event.data.type != "update"}


@pytest.mark.slow
def test_a_sink_that_is_killed_again_and_again_writes_each_event_once(
    carrying: Carrying, postgres: PostgresServer
) -> None:
    dsn = postgres.create_database()
    with carrying.load(calls=300, seconds=25) as load:
        for _ in range(4):
            before = count(dsn)
            sink = carrying.sink("s1", "postgres", "--updates", sink_dsn=dsn, sink_batch_s=0.05)
            wait_for(lambda: count(dsn) > before or not load.is_alive(), "rows", said=sink.last_words)  # noqa: B023
            sink.kill()
    sink = carrying.sink("s1", "postgres", "--updates", sink_dsn=dsn).ready()
    wait_for(lambda: count(dsn) >= len(carrying.sent), "all rows", said=sink.last_words)
    assert sink.stop() == 0
    assert_rows_are(dsn, carrying.sent)


@pytest.mark.slow
def test_postgresql_is_restarted_under_a_running_sink(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    sink = carrying.sink("s1", "postgres", "--updates", sink_dsn=dsn, sink_batch_s=0.05).ready()
    with carrying.load(calls=150, seconds=12):
        for _ in range(2):
            before = count(dsn)
            wait_for(lambda: count(dsn) > before, "rows", said=sink.last_words)  # noqa: B023
            postgres.stop()
            postgres.start()
    wait_for(lambda: count(dsn) >= len(carrying.sent), "all rows", said=sink.last_words)
    assert metric(sink, "undertone_sink_errors_total") >= 1
    assert metric(sink, "undertone_sink_repeats_total") == 0
    assert sink.stop() == 0
    assert_rows_are(dsn, carrying.sent)


@pytest.mark.slow
def test_two_sinks_share_the_work_and_a_zombie_writes_nothing(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    sinks = [carrying.sink(name, "postgres", sink_dsn=dsn, sink_batch_s=0.05).ready() for name in ("s1", "s2")]
    with carrying.load(calls=300, seconds=20) as load:
        wait_for(
            lambda: all(metric(sink, "undertone_sink_events_total") > 0 for sink in sinks),
            "both to write",
            said=lambda: "\n".join(sink.last_words() for sink in sinks),
        )
        # Held up for longer than its session: the other one has its partitions, and it does not know.
        sinks[0].signal(signal.SIGSTOP)
        load.join(9)
        sinks[0].signal(signal.SIGCONT)
    expected = no_updates(carrying.sent)
    wait_for(lambda: count(dsn) >= len(expected), "all rows", said=sinks[1].last_words)
    # Nothing came a second time: positions, not the events' ids, have kept it out.
    assert sum(metric(sink, "undertone_sink_repeats_total") for sink in sinks) == 0
    assert [sink.stop() for sink in sinks] == [0, 0]
    assert_rows_are(dsn, expected)


def test_views_answer_what_people_ask(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    carrying.send(call_events("worse", ["calm", "uncertain", "angry", "angry", "happy", "sad"]))
    carrying.send(call_events("well", ["sad", "happy"], START + timedelta(hours=1)))
    carrying.send(call_events("open", ["angry"], START)[:2])
    sink = carrying.sink("s1", "postgres", sink_dsn=dsn).ready()
    wait_for(lambda: count(dsn) >= len(no_updates(carrying.sent)), "rows", said=sink.last_words)
    calls = {call["call_id"]: call for call in rows(dsn, "SELECT * FROM undertone.calls")}
    assert calls["worse"]["label"] == "sad"
    assert calls["worse"]["segments"] == 6
    assert calls["worse"]["started_at"] == START
    assert calls["worse"]["ended_at"] == START + timedelta(seconds=12)
    assert (calls["worse"]["is_over"], calls["open"]["is_over"]) == (True, False)
    turns = rows(dsn, "SELECT call_id, label_before, label, second FROM undertone.turns_for_the_worse ORDER BY second")
    assert [tuple(turn.values()) for turn in turns] == [
        ("worse", "calm", "angry", 4 * RATE / RATE),
        ("worse", "happy", "sad", 10.0),
    ]
    minutes = rows(dsn, "SELECT * FROM undertone.minutes_by_emotion WHERE label = 'angry'")
    assert [(row["segments"], row["calls"], round(row["minutes"] * 60)) for row in minutes] == [(3, 2, 3)]
    assert sink.stop() == 0


def test_what_is_no_event_becomes_a_dead_letter_and_the_others_are_written(
    carrying: Carrying, postgres: PostgresServer
) -> None:
    dsn = postgres.create_database()
    (event,) = call_events("odd", [])
    crafted = json.loads(event.model_dump_json())
    bad = [
        b"no event",
        None,
        json.dumps(crafted | {"id": "x" * 5000}).encode(),
        json.dumps(crafted | {"data": crafted["data"] | {"label": "a\0b"}}).encode(),
        json.dumps(crafted | {"data": crafted["data"] | {"end_sample": 10**30}}).encode(),
        json.dumps(crafted | {"data": crafted["data"] | {"speech_s": 1e999}}).encode(),
    ]
    for value in bad:
        carrying.send_raw(value)
    carrying.send([event])
    sink = carrying.sink("s1", "postgres", sink_dsn=dsn).ready()
    letters = carrying.installation.dead_letters(len(bad))
    wait_for(lambda: count(dsn) == 1, "the row", said=sink.last_words)
    assert len(letters) == len(bad)
    assert {dict(letter.headers)["undertone_reason"] for letter in letters} == {b"invalid_event"}
    assert sink.stop() == 0
    assert_rows_are(dsn, carrying.sent)


def test_several_sinks_may_set_up_the_schema_at_once(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    sinks = [carrying.sink(f"s{number}", "postgres", sink_dsn=dsn) for number in range(3)]
    for sink in sinks:
        sink.ready()
    applied = rows(dsn, "SELECT number FROM undertone.migrations ORDER BY number")
    assert [row["number"] for row in applied] == [1, 2, 3]
    assert [sink.stop() for sink in sinks] == [0, 0, 0]


def test_mistakes_are_one_line_without_the_password(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    postgres.execute("CREATE ROLE nobody_much LOGIN PASSWORD 'hunter2'")
    database = dsn.rsplit("/", 1)[1]
    mistakes = {
        "postgresql://[hunter2": "no connection string of PostgreSQL",
        "": "Give --dsn, or set UNDERTONE_SINK_DSN",
        postgres.dsn("no_such_database"): 'database "no_such_database" does not exist',
        f"postgresql://nobody_much:hunter2@127.0.0.1:{postgres.port}/{database}": "may not set up schema undertone",
    }
    for number, (wrong, told) in enumerate(mistakes.items()):
        sink = carrying.sink(f"s{number}", "postgres", sink_dsn=wrong)
        assert sink.process.wait(120) == 2, sink.output
        assert told in sink.output
        assert "hunter2" not in sink.output
        assert "Traceback" not in sink.output


def test_a_start_waits_for_postgresql_for_as_long_as_it_is_told(carrying: Carrying) -> None:
    sink = carrying.sink("s1", "postgres", sink_dsn="postgresql://u:hunter2@127.0.0.1:9/d", sink_wait_s=1)
    assert sink.process.wait(120) == 2
    assert "trying again" in sink.output
    assert "hunter2" not in sink.output


def test_the_queries_of_the_page_run(carrying: Carrying, postgres: PostgresServer) -> None:
    dsn = postgres.create_database()
    carrying.send(call_events("call-7", ["calm", "angry"]))
    sink = carrying.sink("s1", "postgres", sink_dsn=dsn).ready()
    wait_for(lambda: count(dsn) == 3, "rows", said=sink.last_words)
    assert sink.stop() == 0
    page = (ROOT / "docs" / "how-to" / "sinks.md").read_text(encoding="utf-8")
    statements = "".join(re.findall(r"^```sql\n(.*?)^```", page, re.M | re.S)).split(";\n")
    with psycopg.connect(dsn) as connection:
        for statement in filter(str.strip, statements):
            connection.execute(statement.encode())
    assert count(dsn) == 0  # the last ones forget the call

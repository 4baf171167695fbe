"""`undertone sink parquet`: what a plain glob finds is each committed event once, whatever died when."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from schemas.events import EventEnvelope
from tests.sinks.carrying import START, Carrying, call_events, columns_of, metric
from tests.sinks.test_fencing import SOURCE, write
from tests.support.installation import wait_for
from tests.support.paths import ROOT
from undertone.sinks import manifests
from undertone.sinks.parquet import Parquet
from undertone.sinks.target import Fenced
from undertone.storage.store import LocalStore, Store

PAGE = (ROOT / "docs" / "how-to" / "sinks.md").read_text(encoding="utf-8")


def read(folder: Path) -> list[dict[str, Any]]:
    """All rows that DuckDB finds, as anybody would ask for them."""
    if not any(folder.glob("**/*.parquet")):
        return []
    query = f"SELECT * FROM '{folder}/**/*.parquet' ORDER BY kafka_partition, kafka_offset"  # noqa: S608
    found = duckdb.execute(query)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def assert_rows_are(folder: Path, events: dict[str, EventEnvelope]) -> None:
    found = read(folder)
    assert sorted(row["id"] for row in found) == sorted(events)
    for row in found:
        event = events[row["id"]]
        data = columns_of(event)
        assert {name: row[name] for name in data} == data
        assert row["ended_at"] == event.time
        assert (row["date"], int(row["hour"])) == (event.time.date(), event.time.hour)


@pytest.mark.slow
def test_a_sink_that_is_killed_again_and_again_writes_each_event_once(carrying: Carrying, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    arguments = ("parquet", "--updates", "--to", f"file://{folder}")
    with carrying.load(calls=300, seconds=25) as load:
        for _ in range(4):
            before = len(read(folder))
            sink = carrying.sink("s1", *arguments, sink_batch_s=0.2)
            wait_for(lambda: len(read(folder)) > before or not load.is_alive(), "rows", said=sink.last_words)  # noqa: B023
            sink.kill()
            ids = [row["id"] for row in read(folder)]
            assert len(set(ids)) == len(ids)
    sinks = [carrying.sink(name, *arguments, sink_batch_s=0.2).ready() for name in ("s1", "s2")]
    wait_for(lambda: len(read(folder)) >= len(carrying.sent), "all rows", said=sinks[0].last_words)
    assert [sink.stop() for sink in sinks] == [0, 0]
    assert_rows_are(folder, carrying.sent)
    assert not list(folder.glob("**/*.tmp"))


def test_what_was_read_is_written_when_it_is_stopped(carrying: Carrying, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    carrying.send(call_events("one", ["calm", "angry"]))
    carrying.send(call_events("two", ["happy"], START + timedelta(hours=12)))
    for _ in range(10):  # how much has been read when it is stopped is a matter of luck
        sink = carrying.sink("s1", "parquet", "--updates", "--to", str(folder), sink_batch_s=3600).ready()
        wait_for(lambda: metric(sink, "undertone_sink_lag_records") > 0, "records", said=sink.last_words)  # noqa: B023
        assert metric(sink, "undertone_sink_events_total") == 0
        assert sink.stop() == 0
        if len(read(folder)) == len(carrying.sent):
            break
    assert_rows_are(folder, carrying.sent)


class Died(BaseException):
    """The process ends here."""


class Mortal:
    """Dies at the nth step that changes something."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("write", "create", "move", "remove"):
            for kind in (Store, LocalStore):
                if name in vars(kind):
                    patch.setattr(kind, name, self._dying(getattr(kind, name)))

    def _dying(self, step: Any) -> Any:
        def dies(store: Store, *arguments: Any) -> Any:
            if self.left == 0:
                raise Died
            self.left -= 1
            return step(store, *arguments)

        return dies


def several_hours() -> Iterator[EventEnvelope]:
    for number in range(3):
        yield from call_events(f"call-{number}", ["calm", "angry"], START + timedelta(hours=number))


@pytest.mark.parametrize("steps", range(14))
def test_a_sink_may_die_at_any_step(steps: int, tmp_path: Path) -> None:
    """And so may the next one, at each step of its own."""
    folder = tmp_path / "events"
    events = list(several_hours())
    for second in range(14):
        for left in (steps, second):
            with pytest.MonkeyPatch.context() as patch, suppress(Died):
                target = Parquet(str(folder))
                target.open()
                Mortal(left).install(patch)
                done = target.claim(SOURCE, [0])[0] or 0
                write(target, events[done : done + 4], done)
            ids = [row["id"] for row in read(folder)]
            assert ids == [event.id for event in events[: len(ids)]]
        if len(ids) == len(events):
            break
    last = Parquet(str(folder))
    done = last.claim(SOURCE, [0])[0] or 0
    write(last, events[done:], done)
    assert_rows_are(folder, {event.id: event for event in events})
    assert not list(folder.glob("**/*.tmp"))


def test_a_zombie_whose_number_was_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "_KEPT", 1)
    zombie, owner = Parquet(str(tmp_path)), Parquet(str(tmp_path))
    zombie.claim(SOURCE, [0])
    owner.claim(SOURCE, [0])
    events = list(several_hours())
    for n, event in enumerate(events[:4]):
        write(owner, [event], n)
    assert len(list(tmp_path.glob("_undertone/manifests/**/*.json"))) == 1
    with pytest.raises(Fenced):
        write(zombie, events, 0)
    assert not list(tmp_path.glob("**/*.tmp"))
    assert len(read(tmp_path)) == 4
    write(owner, events[4:], 4)
    assert [row["id"] for row in read(tmp_path)] == [event.id for event in events]


def test_the_lines_of_the_page_run(tmp_path: Path) -> None:
    target = Parquet(str(tmp_path))
    target.claim(SOURCE, [0])
    write(target, list(several_hours()), 0)
    (line,) = re.findall(r'^duckdb -c "(.*?)"$', PAGE, flags=re.M)
    found = duckdb.execute(line.replace("/data/events", str(tmp_path))).fetchall()
    assert dict(found)["angry"] == pytest.approx(3 / 60)
    (code,) = re.findall(r"^```python\n(import pyarrow.dataset.*?)^```", PAGE, flags=re.M | re.S)
    variables: dict[str, Any] = {}
    exec(code.replace("/data/events", str(tmp_path)), variables)  # noqa: S102  our own page
    assert variables["segments"].num_rows == 6


def test_mistakes_are_one_line(carrying: Carrying, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mistakes = {"nonsense://x": "Protocol not known: nonsense", f"{tmp_path}/file/x": "cannot be written"}
    for number, (wrong, told) in enumerate(mistakes.items()):
        sink = carrying.sink(f"s{number}", "parquet", "--to", wrong)
        assert sink.process.wait(120) == 2, sink.output
        assert told in sink.output
        assert "Traceback" not in sink.output

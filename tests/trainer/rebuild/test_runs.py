"""Runs on disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import UserError
from trainer.rebuild.runs import DECISION, JOB, Decision, Job, Runs, What, write_whole

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def decided(runs: Runs, hours: int, what: What = What.REFUSED) -> Path:
    started = MOMENT + timedelta(hours=hours)
    folder = runs.begin(started)
    write_whole(folder / DECISION, Decision(what=what, why="", started=started, seconds=1))
    return folder


def test_a_run_counts_once_it_is_decided(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.last() is None
    first = decided(runs, 1)
    killed = runs.begin(MOMENT + timedelta(hours=2))
    write_whole(killed / JOB, Job(data=()))
    last = runs.last()
    assert last and last.started == MOMENT + timedelta(hours=1)
    decided(runs, 3, What.CRASHED)
    assert first.exists() and not killed.exists()
    assert runs.last_good() == MOMENT + timedelta(hours=1)


def test_the_last_fifty_are_kept(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    folders = [decided(runs, hours) for hours in range(53)]
    assert [folder for folder in folders if folder.exists()] == folders[2:]


def test_a_restart_does_not_begin_to_wait_anew(tmp_path: Path) -> None:
    assert Runs(tmp_path).since(MOMENT) == MOMENT
    assert Runs(tmp_path).since(MOMENT + timedelta(hours=9)) == MOMENT


def test_a_damaged_decision_is_one_line(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    (decided(runs, 1) / DECISION).write_text("{")
    with pytest.raises(UserError, match="cannot be read; delete the folder"):
        runs.last()

"""How services log: lines for people, or JSON for programs."""

import json
import logging
from collections.abc import Iterator

import pytest

from schemas.errors import UserError
from undertone.cli.log import start_log
from undertone.observability.logs import named


def started(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """Start the log as in a process that has not logged yet, and return a logger."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    start_log()
    return logging.getLogger("trainer.test")


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def test_json_lines_have_the_figures_and_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNDERTONE_LOG_FORMAT", "json")
    log = started(monkeypatch)
    message, extra = named("rebuild ends", decision="refused", labels=62)
    log.info(message, extra=extra)
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("100 %s", "percent")
    ends, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert ends.pop("time").endswith("+00:00")
    assert ends == {
        "level": "INFO",
        "logger": "trainer.test",
        "message": "rebuild ends: decision=refused labels=62",
        "decision": "refused",
        "labels": 62,
    }
    assert (failed["level"], failed["message"]) == ("ERROR", "100 percent")
    assert "ValueError: two\nlines" in failed["error"]


def test_people_get_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    log = started(monkeypatch)
    message, extra = named("rebuild ends", decision="refused")
    log.info(message, extra=extra)
    assert capsys.readouterr().err.endswith(" INFO trainer.test: rebuild ends: decision=refused\n")
    monkeypatch.setenv("UNDERTONE_LOG_FORMAT", "xml")
    with pytest.raises(UserError, match="UNDERTONE_LOG_FORMAT"):
        start_log()

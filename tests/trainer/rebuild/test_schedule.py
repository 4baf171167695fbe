"""When a rebuild is due."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.errors import UserError
from trainer.rebuild.runs import Decision, What
from trainer.rebuild.schedule import Schedule, parse_every

DAILY = Schedule(timedelta(hours=24), 200)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run(what: What = What.REFUSED, hours: float = 100) -> Decision:
    return Decision(what=what, why="", started=BEGAN + timedelta(hours=hours), seconds=1)


@pytest.mark.parametrize(
    ("last", "hours", "labels", "due"),
    [
        (None, 23, 1, False),  # a service that has just begun waits for labels to come
        (None, 25, 1, True),
        (None, 25, 0, False),  # nothing new: the same model again
        (None, 0, 200, True),
        (run(), 123, 199, False),
        (run(), 125, 1, True),
        (run(), 101, 200, True),
        (run(What.FAILED), 101, 10, False),  # the same data will fail again
        (run(What.CRASHED), 100.01, 0, False),
        (run(What.CRASHED), 100.1, 0, True),
        (run(What.OUTDATED), 100.1, 0, True),
    ],
)
def test_a_rebuild_is_due(last: Decision | None, hours: float, labels: int, due: bool) -> None:
    assert bool(DAILY.due(BEGAN + timedelta(hours=hours), BEGAN, last, labels)) is due


@pytest.mark.parametrize(
    ("last", "hours", "labels", "due"),
    [
        (None, 0.1, 1, True),
        (None, 0.1, 0, False),  # of what should it be made?
        (run(), 105.9, 1, False),
        (run(), 106, 1, True),
        (run(What.CRASHED), 100.01, 1, False),
    ],
)
def test_drift_is_a_reason_where_labels_have_come(last: Decision | None, hours: float, labels: int, due: bool) -> None:
    why = DAILY.due(BEGAN + timedelta(hours=hours), BEGAN, last, labels, "level")
    assert ("level" in why) is due


def test_every_is_a_number_and_a_unit() -> None:
    assert [parse_every(text) for text in ("24h", "90m", "7d", "60s")] == [
        timedelta(hours=24),
        timedelta(minutes=90),
        timedelta(days=7),
        timedelta(minutes=1),
    ]
    for text in ("", "24", "h", "1.5h", "0h", "59s", "24 h", "-1h"):
        with pytest.raises(UserError, match="--every"):
            parse_every(text)

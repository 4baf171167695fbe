"""How long the broker may collect: the less is said, the sooner the answer; never longer than the setting says."""

from unittest.mock import Mock

import pytest

from worker import collecting
from worker.collecting import Collecting

MEGABYTES = 8 * 1024 * 1024


def new(longest_ms: int = 200) -> Collecting:
    return Collecting(Mock(), longest_ms, MEGABYTES)


@pytest.fixture(autouse=True)
def behind(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Of how many partitions there is more than has been read."""
    behind = Mock(return_value=0)
    monkeypatch.setattr(collecting, "partitions_behind", behind)
    return behind


def test_the_more_chunks_come_the_more_share_a_transaction() -> None:
    waits = [new().times(rate) for rate in (40, 300, 400, 600, 800)]
    assert waits == [(wait, MEGABYTES) for wait in (30, 30, 30, 115, 200)]


def test_where_they_fill_a_core_a_short_time_brings_enough() -> None:
    waits = [new().times(rate) for rate in (1300, 1800, 20_000)]
    assert waits == [(115, MEGABYTES), (30, MEGABYTES), (30, MEGABYTES)]


def test_where_hardly_any_come_each_is_answered_at_once() -> None:
    assert new().times(0) == new().times(30) == (200, 1)


@pytest.mark.parametrize("longest_ms", [0, 20])
def test_the_setting_is_the_longest(longest_ms: int) -> None:
    assert {new(longest_ms).times(rate)[0] for rate in (0, 10, 100, 1000, 10_000)} == {longest_ms}


def test_it_follows_what_polls_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(collecting.time, "monotonic", lambda: now)
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(collecting, "collect", lambda _, wait_ms, least, each: asked.append((wait_ms, least)))
    monkeypatch.setattr(collecting, "fetch_ahead", Mock())
    one = new()

    def turns(count: int, records: int) -> tuple[int, int]:
        nonlocal now
        for _ in range(count):
            one.begin()
            one.heard(records)
            now += 0.1
        return asked[-1]

    assert turns(1, 0) == (200, 1)
    assert turns(100, 60) == (pytest.approx(115, abs=1), MEGABYTES)
    assert turns(100, 80) == (pytest.approx(200, abs=1), MEGABYTES)
    assert turns(100, 0) == (200, 1)


def test_while_a_poll_is_worked_on_the_broker_collects_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Mock()
    monkeypatch.setattr(collecting, "fetch_ahead", sent)
    one = new()
    one.begin()
    one.heard(0)
    sent.assert_not_called()  # nothing has come: the fetch before is still under way
    one.heard(1)
    sent.assert_called_once()


def test_a_backlog_s_partitions_share_an_answer(monkeypatch: pytest.MonkeyPatch, behind: Mock) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(collecting, "collect", lambda _, wait_ms, least, each: asked.append((least, each)))
    one = new()
    for count in (0, 1, 4, 500):
        behind.return_value = count
        one.begin()
    assert asked == [(1, MEGABYTES), (1, MEGABYTES), (1, MEGABYTES // 4), (1, MEGABYTES // 8)]
    behind.return_value = 4
    monkeypatch.setattr(one, "times", lambda rate: (200, MEGABYTES))
    one.begin()
    assert asked[-1] == (MEGABYTES // 4, MEGABYTES // 4)  # no answer can have more of one: nobody is to wait for it

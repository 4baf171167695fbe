"""The suite in two processes: which files they begin with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import pytest_collection_modifyitems


def item(file: str, *markers: str) -> Any:
    marks = set(markers)
    return SimpleNamespace(path=Path(file), get_closest_marker=lambda name: name in marks, fixturenames=())


def in_order(config: SimpleNamespace) -> list[str]:
    """Files in the order of their tests, which come from two short files, a long one and one on Kafka."""
    items = [item("a"), item("a"), item("b", "kafka"), item("b"), item("c"), item("d"), item("d", "slow")]
    pytest_collection_modifyitems(config, items)  # type: ignore[arg-type]
    return [one.path.name for one in items]


def test_the_longest_files_come_first_so_that_no_process_ends_with_one_alone() -> None:
    assert in_order(SimpleNamespace(workerinput={})) == ["d", "d", "b", "b", "a", "a", "c"]


def test_one_process_keeps_the_order_of_the_folders() -> None:
    assert in_order(SimpleNamespace()) == ["a", "a", "b", "b", "c", "d", "d"]


def test_whatever_uses_the_broker_is_marked() -> None:
    marked: list[pytest.MarkDecorator] = []
    one = item("a")
    one.fixturenames, one.add_marker = ("kafka",), marked.append
    pytest_collection_modifyitems(SimpleNamespace(), [one])  # type: ignore[arg-type]
    assert marked == [pytest.mark.kafka]

"""The simulated consumer group does what a real one does, as far as a page relies on it."""

import re

import numpy as np
import pytest

from benchmarks.scale import PARTITIONS_A_WORKER, TRANSACTIONS, assign, markers_a_second, moved, partition_loads, play
from tests.support.paths import ROOT


def test_every_partition_has_one_worker_and_each_worker_as_many() -> None:
    group = play(20_000, 2, 700)
    owned = sorted(number for numbers in group.assignment.values() for number in numbers)
    assert owned == list(range(group.partitions))
    assert {len(numbers) for numbers in group.assignment.values()} == {PARTITIONS_A_WORKER}
    assert group.worker_loads().sum() == pytest.approx(group.loads.sum())


def test_only_what_a_failed_worker_had_moves() -> None:
    group = play(20_000, 1, 700)
    names = list(group.assignment)
    after, _ = assign(group.partitions, names[1:], group.assignment)
    assert moved(group.assignment, after) == len(group.assignment[names[0]])


def test_a_new_worker_takes_no_more_than_its_share() -> None:
    group = play(20_000, 1, 700)
    after, _ = assign(group.partitions, [*group.assignment, "new"], group.assignment)
    assert 0 < moved(group.assignment, after) == len(after["new"]) <= PARTITIONS_A_WORKER


def test_all_calls_are_somewhere_and_talk_costs_more_than_silence() -> None:
    loads = partition_loads(10_000, 16, 1000)
    assert (loads > 0).all()
    assert 10 * 0.3 < loads.sum() < 10
    assert np.array_equal(loads, partition_loads(10_000, 16, 1000))


def test_few_event_partitions_save_markers() -> None:
    many, few = (markers_a_second(100, 250_000, 400, partitions) for partitions in (400, 8))
    assert 100 * TRANSACTIONS * 8 < few < many / 5


def test_the_page_says_what_the_simulation_does() -> None:
    page = (ROOT / "docs" / "explanation" / "a-million-calls.md").read_text()
    (row,) = re.findall(r"^\| 100 \| ([\d,]+) \| ([\d,]+) \| (\S+) x", page, re.M)
    group = play(1_000_000, 100, 1400)
    assert [f"{group.workers:,}", f"{group.partitions:,}"] == list(row[:2])
    assert float(row[2]) == pytest.approx(group.loads.max() / group.loads.mean(), abs=0.01)

"""A consumer group for a great many calls, on paper and played through: `python -m benchmarks.scale [--calls 1000000]`.

Calls that talk more or less are hashed to partitions as the client hashes them, and partitions go to workers by the
client's own assignor, which is timed. Told for one group of all, and for the same load in cells: groups of their own
with topics of their own (`UNDERTONE_TOPIC_PREFIX`). Then one worker of a group fails, and one is added.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from kafka import TopicPartition
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyAssignmentExecutor, StickyAssignorMemberMetadataV1
from kafka.partitioner import murmur2
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.report import RESULT

TOPIC = "call-audio"
# A core that is busier than this has nothing left for a takeover of its neighbour's partitions.
BUSY = 0.7
# Each worker takes so many partitions: the fewer, the less even; the more, the more each transaction touches.
PARTITIONS_A_WORKER = 4
# An update every half second of speech; a worker that hears 2,400 chunks a second and more collects for 30 ms.
EVENTS_A_STREAM, TRANSACTIONS = 2.0, 30.0
# Silence costs a third: measured, a two-sided call beside continuous speech.
SILENCE_COSTS = 0.3

Assignment = dict[str, list[int]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """One consumer group and what it carries."""

    partitions: int
    workers: int
    loads: Floats  # of each partition, in cores
    assignment: Assignment
    assign_s: float

    def worker_loads(self) -> Floats:
        """Cores that each worker needs."""
        return np.array([self.loads[numbers].sum() for numbers in self.assignment.values()])


class _Cluster:
    """What the assignor asks of the cluster."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def topics(self) -> set[str]:
        return {TOPIC}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return self._partitions


def partition_loads(calls: int, partitions: int, streams_per_core: float, seed: int = 1) -> Floats:
    """Cores that each partition's calls take: of calls that talk for 20 to 100 % of the time."""
    rng = np.random.default_rng(seed)
    talk = rng.beta(2, 2, calls) * 0.8 + 0.2
    costs = (talk + (1 - talk) * SILENCE_COSTS) / streams_per_core
    hashes = [murmur2(b"call-%d-%d/customer" % (seed, number)) & 0x7FFFFFFF for number in range(calls)]
    return np.bincount(np.array(hashes) % partitions, weights=costs, minlength=partitions).astype(np.float64)


def assign(partitions: int, workers: list[str], owned: Mapping[str, list[int]]) -> tuple[Assignment, float]:
    """The client's sticky assignment from what each worker owns, and how long its leader took for it."""
    members = {
        name: StickyAssignorMemberMetadataV1(
            partitions=[TopicPartition(TOPIC, number) for number in owned.get(name, [])],
            generation=1,
            subscription=[TOPIC],
        )
        for name in workers
    }
    began = time.process_time()
    executor = StickyAssignmentExecutor(_Cluster(partitions), members)
    executor.perform_initial_assignment()
    executor.balance()
    took = time.process_time() - began
    found = {name: dict(executor.get_final_assignment(name)).get(TOPIC, []) for name in workers}
    return found, took


def moved(before: Mapping[str, list[int]], after: Mapping[str, list[int]]) -> int:
    """Partitions that have another owner than they had."""
    owner = {number: name for name, numbers in before.items() for number in numbers}
    return sum(owner.get(number, name) != name for name, numbers in after.items() for number in numbers)


def markers_a_second(workers: int, events_a_second: float, partitions: int, event_partitions: int) -> float:
    """Transaction markers that brokers write: one for each partition that a transaction has touched.

    Events are hashed over all partitions of their topic; audio offsets and state stay with the worker's own.
    """
    events = events_a_second / workers / TRANSACTIONS
    touched = event_partitions * (1 - (1 - 1 / event_partitions) ** events)
    return workers * TRANSACTIONS * (touched + partitions / workers + 1)


def play(calls: int, cells: int, streams_per_core: float) -> Group:
    """One of `cells` equal groups that carry `calls` together."""
    mine = calls // cells
    # Of the mean call, not of the one that never stops to speak.
    mean = partition_loads(min(mine, 20_000), 1, streams_per_core)[0] / min(mine, 20_000)
    workers = max(1, round(mine * mean / BUSY))
    partitions = PARTITIONS_A_WORKER * workers
    names = [f"worker-{number:04}" for number in range(workers)]
    assignment, took = assign(partitions, names, {})
    return Group(partitions, workers, partition_loads(mine, partitions, streams_per_core), assignment, took)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, nargs="+", default=[1, 10, 40])
    parser.add_argument("--streams-per-core", type=float, help="default: as measured in benchmarks/results/")
    parser.add_argument("--event-partitions", type=int, default=8, help="of emotion-events, in a cell of its own")
    options = parser.parse_args()
    measured = options.streams_per_core or json.loads(RESULT.read_text())["streams_per_core"]
    console = Console(highlight=False)
    console.print(f"{options.calls:,} calls, one analysed side each, {measured:,} streams a core of continuous speech")
    table = Table(
        "cells", "workers each", "partitions each", "hottest partition", "busiest worker, core", "over a core"
    )
    for name in ("leader assigns, s", "moved: one fails", "moved: one more"):
        table.add_column(name)
    for name in ("markers/s", "with few event partitions"):
        table.add_column(name)
    for cells in options.cells:
        group = play(options.calls, cells, measured)
        loads, names = group.worker_loads(), list(group.assignment)
        fewer, _ = assign(group.partitions, names[1:], group.assignment)
        more, took = assign(group.partitions, [*names, "worker-new"], group.assignment)
        lost = len(group.assignment[names[0]])
        events = EVENTS_A_STREAM * options.calls / cells
        every = markers_a_second(group.workers, events, group.partitions, group.partitions)
        few = markers_a_second(group.workers, events, group.partitions, options.event_partitions)
        table.add_row(
            str(cells),
            f"{group.workers:,}",
            f"{group.partitions:,}",
            f"{group.loads.max() / group.loads.mean():.2f} x mean",
            f"{loads.max():.2f}",
            f"{(loads > 1).mean():.1%}",
            f"{max(group.assign_s, took):.1f}",
            f"{moved(group.assignment, fewer)} (of {lost} lost)",
            str(moved(group.assignment, more)),
            f"{cells * every:,.0f}",
            f"{cells * few:,.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()

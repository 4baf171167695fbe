"""What counts as progress of a partition, and what the gauges say of it."""

import pytest

from undertone.messaging.settings import KafkaSettings
from undertone.observability.telemetry import Health
from worker.metrics import WorkerMetrics
from worker.progress import FRESH_S, Progress
from worker.watch import Watch


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics()


@pytest.fixture
def progress(metrics: WorkerMetrics, clock: Clock) -> Progress:
    return Progress(metrics, clock)


def told(metrics: WorkerMetrics, name: str, partition: int) -> float | None:
    return metrics.registry.get_sample_value(f"undertone_{name}", {"partition": str(partition)})


def test_a_partition_that_is_read_to_its_end_does_not_stand_still(progress: Progress, clock: Clock) -> None:
    progress.reached([0, 1], {0: 10, 1: 5})
    for _ in range(20):
        clock.now += 10
        progress.reached([0, 1], {0: 10, 1: 5})
        progress.answered({0: 10, 1: 6})
    assert progress.stalled(60) == {1: 200}


def test_a_partition_that_moves_does_not_stand_still(progress: Progress, clock: Clock) -> None:
    for position in range(20):
        clock.now += 10
        progress.reached([0], {0: position})
        progress.answered({0: 1000})
    assert progress.stalled(60) == {}


def test_joining_again_is_no_progress(progress: Progress, clock: Clock) -> None:
    progress.reached([0], {0: 10})
    for _ in range(10):
        clock.now += 10
        progress.reached([0], {})  # a new session, which has not restored it yet
        clock.now += 10
        progress.reached([0], {0: 10})
        progress.answered({0: 11})
    assert progress.stalled(100) == {0: 200}


def test_restoring_is_progress(progress: Progress, clock: Clock) -> None:
    progress.reached([0, 1], {1: 10})
    for _ in range(10):
        clock.now += 10
        progress.restoring()
    assert progress.is_restoring
    assert progress.stalled(60) == {1: 100}
    clock.now += FRESH_S + 1
    assert not progress.is_restoring


def test_without_an_answer_nothing_is_known_to_be_at_its_end(
    progress: Progress, metrics: WorkerMetrics, clock: Clock
) -> None:
    progress.reached([0], {0: 10})
    progress.answered({0: 12})
    progress.tell()
    assert told(metrics, "lag_records", 0) == 2
    clock.now += 100
    progress.tell()
    assert told(metrics, "lag_records", 0) is None, "an old number would look like a new one"
    assert told(metrics, "stalled_seconds", 0) == 100
    assert progress.silence_s == 100


def test_lag_in_seconds_is_the_age_of_what_waits(metrics: WorkerMetrics, clock: Clock) -> None:
    progress = Progress(metrics, clock, wall_clock=clock)
    ends = {0: 12, 1: 10, 2: 20}
    progress.reached([0, 1, 2], {0: 10, 1: 10, 2: 10})
    assert progress.behind(ends) == {0: 10, 2: 10}
    progress.answered(ends, {0: 993_000})  # that of partition 2 could not be read
    progress.tell()
    assert told(metrics, "lag_seconds", 0) == 7
    assert told(metrics, "lag_seconds", 1) == 0
    assert told(metrics, "lag_seconds", 2) is None, "nobody knows"
    clock.now += 5
    progress.tell()
    assert told(metrics, "lag_seconds", 0) == 12, "it waits on"
    progress.answered(ends, {0: 2_000_000})
    progress.tell()
    assert told(metrics, "lag_seconds", 0) == 0, "the broker's clock is ahead"
    clock.now += FRESH_S + 1
    progress.tell()
    assert told(metrics, "lag_seconds", 1) is None, "an old number would look like a new one"


def test_a_long_restore_is_not_begun_anew(progress: Progress, clock: Clock) -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    watch = Watch(nowhere, "call-audio", progress, Health(), 60, 600, give_up=lambda _: None)
    watch.close()
    progress.reached([0], {0: 10})
    clock.now += 100
    progress.answered({0: 11})
    assert watch.stuck == {0: 100}
    assert "partition 0" in watch.obstacle
    progress.reached([0], {})  # new clients, which restore it
    progress.restoring()
    assert watch.stuck == {}
    clock.now += FRESH_S + 1
    progress.answered({0: 11})
    assert watch.stuck == {0: 101 + FRESH_S}


def test_only_the_partitions_of_this_worker_are_told(progress: Progress, metrics: WorkerMetrics, clock: Clock) -> None:
    names = ("lag_records", "lag_seconds", "stalled_seconds", "watermark_delay_seconds")
    progress.reached([0, 1], {0: 10, 1: 10})
    progress.answered({0: 12, 1: 12}, {0: 1000, 1: 1000})
    progress.tell()
    metrics.tell_watermarks({0: 1.0, 1: 1.0})
    assert all(told(metrics, name, 0) is not None for name in names)
    progress.reached([1], {1: 10})
    progress.tell()
    assert progress.partitions() == [1]
    assert all(told(metrics, name, 0) is None for name in names)
    assert told(metrics, "lag_records", 1) == 2

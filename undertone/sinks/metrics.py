"""Metrics of the sinks. `docs/reference/metrics.md` is their specification; a test keeps the two equal."""

import time
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from schemas.dead_letters import Reason
from undertone.sinks.target import Batch, Written

# A transaction of PostgreSQL takes some 5 ms; a webhook that fails again and again two minutes.
_WRITE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300)
# From the batch time of PostgreSQL (0.2 s) and that of Parquet (a minute) to an outage.
_DELAY_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 90, 120, 300, 3600)


class SinkMetrics:
    """One attribute per metric, all in one registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.events = Counter("undertone_sink_events", "Events that the target has.", ["type"], registry=registry)
        self.repeats = Counter("undertone_sink_repeats", "Events that the target had before.", registry=registry)
        self.batches = Counter(
            "undertone_sink_batches", "Batches by what became of them.", ["outcome"], registry=registry
        )
        self.requests = Counter(
            "undertone_sink_requests", "Requests to the webhook, by how they ended.", ["outcome"], registry=registry
        )
        self.dead_letters = Counter(
            "undertone_sink_dead_letters", "Events that the target did not get.", ["reason"], registry=registry
        )
        self.write_seconds = Histogram(
            "undertone_sink_write_seconds", "Time of one batch's write.", buckets=_WRITE_BUCKETS, registry=registry
        )
        self.delay_seconds = Histogram(
            "undertone_sink_delay_seconds",
            "From an event's Kafka timestamp to its being written.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.lag = Gauge("undertone_sink_lag_records", "Records not yet written.", ["partition"], registry=registry)
        self.lost = Counter(
            "undertone_sink_lost_records", "Records that Kafka no longer had.", ["kind"], registry=registry
        )
        self.sessions = Counter("undertone_sink_sessions", "Times this sink joined the group.", registry=registry)
        self.rebalances = Counter(
            "undertone_sink_rebalances", "Changes of the assignment.", ["kind"], registry=registry
        )
        self.errors = Counter(
            "undertone_sink_errors", "Errors, by place and kind.", ["stage", "error_type"], registry=registry
        )
        for outcome in ("written", "failed", "fenced"):
            self.batches.labels(outcome)
        for reason in (Reason.INVALID_EVENT, Reason.NOT_DELIVERED, Reason.CORRUPT_RECORD):
            self.dead_letters.labels(reason)

    def count(self, batch: Batch, written: Written, seconds: float) -> None:
        """Count a batch that has been written."""
        self.batches.labels("written").inc()
        self.write_seconds.observe(seconds)
        self.repeats.inc(written.repeats)
        now = time.time()
        rejected = {(record.partition, record.offset) for record, _ in written.rejected}
        for event in batch.events:
            place = event.record.partition, event.record.offset
            if place[1] < written.positions.get(place[0], 0) and place not in rejected:
                self.events.labels(event.envelope.data.type).inc()
                self.delay_seconds.observe(max(0.0, now - event.record.timestamp / 1000))

    def forget_partition(self, partition: int) -> None:
        """Drop what was told of a partition that has left: another sink tells it now."""
        with suppress(KeyError):  # nothing of it was told yet
            self.lag.remove(str(partition))

    def error(self, stage: str, error: BaseException) -> None:
        """Count an error. Its text goes to the log, never into a label."""
        self.errors.labels(stage, type(error).__name__).inc()

"""Metrics of the collector. `docs/reference/metrics.md` is their specification; a test keeps the two equal."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from schemas.dead_letters import Reason
from trainer.collection.entry import State

REPEATED = "repeated"
# A label's audio is some tens of chunks among those of other calls; a search for an event may read a whole topic.
_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300)


class CollectorMetrics:
    """One attribute per metric, all in one registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.labels = Counter(
            "undertone_collector_labels", "Records by what became of them.", ["state"], registry=registry
        )
        self.dead_letters = Counter(
            "undertone_collector_dead_letters", "Labels that could not be used.", ["reason"], registry=registry
        )
        self.audio_seconds = Counter("undertone_collector_audio_seconds", "Sound that was kept.", registry=registry)
        self.seconds = Histogram(
            "undertone_collector_seconds", "Time of one label.", buckets=_BUCKETS, registry=registry
        )
        self.lag = Gauge(
            "undertone_collector_lag_records", "Records not yet collected.", ["partition"], registry=registry
        )
        self.sessions = Counter("undertone_collector_sessions", "Times that it began to read.", registry=registry)
        self.errors = Counter(
            "undertone_collector_errors", "Errors, by place and kind.", ["stage", "error_type"], registry=registry
        )
        for state in (*State, REPEATED):
            self.labels.labels(state)
        for reason in (Reason.INVALID_LABEL, Reason.UNKNOWN_EVENT, Reason.CORRUPT_RECORD):
            self.dead_letters.labels(reason)

    def error(self, stage: str, error: BaseException) -> None:
        """Count an error. Its text goes to the log, never into a label."""
        self.errors.labels(stage, type(error).__name__).inc()

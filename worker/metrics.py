"""The worker's metrics. `docs/reference/metrics.md` is their specification; a test keeps the two equal."""

import time
from collections import Counter as Counts
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache

from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from schemas.card import ModelCard
from schemas.dead_letters import Reason
from undertone.inference.intake import FeedResult
from undertone.inference.routing import Route
from worker.batch import Batch
from worker.drift_metrics import DriftMetrics
from worker.emotion_metrics import EmotionMetrics
from worker.shadow_metrics import ShadowMetrics

# A transaction of a quiet worker takes 5 ms, a full batch up to a second, a broker's restart some ten.
_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
# From the shortest time of collecting (0.03 s) upwards; the last ones tell a backlog from an outage.
_DELAY_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 15, 60, 300, 3600)
_RESTORE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
# One call's chunk a transaction up to the default of UNDERTONE_BATCH_RECORDS.
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Why a transaction was given up: the group or a twin has taken over, Kafka did not answer, or did not want it.
_FENCED = (CommitFailedError, FencedInstanceIdError, ProducerFencedError, InvalidProducerEpochError)
_MOVED_ON = (IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class WorkerMetrics:
    """One attribute per metric, all in one registry, so that two workers in a process do not mix."""

    def __init__(self, drift_utterances: int = 500, queues: Collection[str] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.chunks = Counter("undertone_chunks", "Audio chunks read.", registry=registry)
        self.chunk_bytes = Counter("undertone_chunk_bytes", "Bytes of audio read.", registry=registry)
        self.skipped = Counter("undertone_skipped_chunks", "Chunks of agents, not analysed.", registry=registry)
        self.events = Counter("undertone_events", "Events published.", ["type"], registry=registry)
        self.dead_letters = Counter("undertone_dead_letters", "Messages not used.", ["reason"], registry=registry)
        self.gaps = Counter("undertone_sequence_gaps", "Places where a stream's chunks are missing.", registry=registry)
        self.repeats = Counter("undertone_repeated_chunks", "Chunks that had been heard before.", registry=registry)
        self.clicks = Counter("undertone_clicks", "Sounds too short to be an utterance.", registry=registry)
        self.batch_records = Histogram(
            "undertone_batch_records", "Records in one transaction.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self.event_delay = Histogram(
            "undertone_event_delay_seconds",
            "From the Kafka timestamp of the last chunk that an event needed to its commit.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "undertone_stage_seconds",
            "Time of one pass of the loop, by stage.",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        # A child is looked up in 3 us, for each stage of each pass.
        self._stage = cache(self.stage_seconds.labels)
        self.open_streams = Gauge("undertone_open_streams", "Streams being heard.", registry=registry)
        self.lag = Gauge("undertone_lag_records", "Records not yet read.", ["partition"], registry=registry)
        self.lag_seconds = Gauge(
            "undertone_lag_seconds", "Age of the oldest record not yet read.", ["partition"], registry=registry
        )
        self.watermark_delay = Gauge(
            "undertone_watermark_delay_seconds",
            "How far the time up to which a partition has been heard lies behind the clock.",
            ["partition"],
            registry=registry,
        )
        self.stalled = Gauge(
            "undertone_stalled_seconds", "How long a partition has stood still.", ["partition"], registry=registry
        )
        self.model = Info("undertone_model", "The model in use.", registry=registry)
        self.model_created = Gauge(
            "undertone_model_created_timestamp_seconds", "When the model in use was made.", registry=registry
        )
        self.models = Counter("undertone_models", "Bundles met on the models topic.", ["outcome"], registry=registry)
        self.champion_refused = Gauge(
            "undertone_champion_refused",
            "Whether the alias champion names a model that this worker does not use.",
            registry=registry,
        )
        self.canary_share = Gauge(
            "undertone_canary_share", "Share of the calls that the canary has.", ["version"], registry=registry
        )
        self.challenger_refused = Gauge(
            "undertone_challenger_refused",
            "Whether the alias challenger names a model that this worker is to use and does not.",
            registry=registry,
        )
        self.transactions = Counter("undertone_transactions", "Transactions ended.", ["outcome"], registry=registry)
        self.aborted = Counter("undertone_aborted_transactions", "Transactions given up.", ["cause"], registry=registry)
        self.sessions = Counter("undertone_sessions", "Times this worker joined the group.", registry=registry)
        self.rebalances = Counter("undertone_rebalances", "Changes of the assignment.", ["kind"], registry=registry)
        self.restore_seconds = Histogram(
            "undertone_restore_seconds",
            "From a partition's assignment to its state being here.",
            buckets=_RESTORE_BUCKETS,
            registry=registry,
        )
        self.restoring_partitions = Gauge(
            "undertone_restoring_partitions", "Partitions assigned that are not read yet.", registry=registry
        )
        self.restoring_seconds = Gauge(
            "undertone_restoring_seconds", "How long the oldest of them has waited.", registry=registry
        )
        self.restored_streams = Counter(
            "undertone_restored_streams", "Streams whose state was read back.", registry=registry
        )
        self.replayed_chunks = Counter(
            "undertone_replayed_chunks",
            "Audio chunks that were heard again: states are saved every few seconds.",
            registry=registry,
        )
        self.restore_records_left = Gauge(
            "undertone_restore_records_left",
            "Offsets of worker-state to read before all restores are done.",
            registry=registry,
        )
        self.offset_resets = Counter(
            "undertone_offset_reset_records",
            "Records of call-audio that were lost to retention, or are read again because their offset was lost.",
            ["kind"],
            registry=registry,
        )
        self.disk_free = Gauge(
            "undertone_kafka_disk_free_bytes", "Free on a broker's disk.", ["broker", "directory"], registry=registry
        )
        self.disk_size = Gauge(
            "undertone_kafka_disk_size_bytes", "Size of a broker's disk.", ["broker", "directory"], registry=registry
        )
        self.errors = Counter(
            "undertone_errors", "Errors, by place and kind.", ["stage", "error_type"], registry=registry
        )
        self.emotions = EmotionMetrics(registry, queues)
        self.drift = DriftMetrics(registry, drift_utterances)
        self.shadow = ShadowMetrics(registry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A series that begins with its first event hides that event from every alert on an increase."""
        for reason in Reason:
            self.dead_letters.labels(reason)
        for outcome in ("loaded", "invalid", "crashed", "unsigned"):
            self.models.labels(outcome)
        for outcome in ("committed", "aborted", "fenced"):
            self.transactions.labels(outcome)
        for cause in ("fenced", "rebalance", "timeout", "refused", "failed"):
            self.aborted.labels(cause)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage of the loop's pass."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._stage(name).observe(time.perf_counter() - start)

    def tell_partition(self, partition: int, lag: int | None, age_s: float | None, stalled_s: float) -> None:
        """How far a partition is behind in records and in time, None where nobody knows; how long it stands still."""
        self.stalled.labels(str(partition)).set(stalled_s)
        for gauge, value in ((self.lag, lag), (self.lag_seconds, age_s)):
            if value is not None:
                gauge.labels(str(partition)).set(value)
            else:
                self._remove(gauge, partition)

    def tell_watermarks(self, delays_s: Mapping[int, float]) -> None:
        """How far behind the clock the partitions have been heard, as far as they have a time."""
        for partition, delay_s in delays_s.items():
            self.watermark_delay.labels(str(partition)).set(delay_s)

    def tell_disks(self, disks: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Free and all bytes of Kafka's disks, by broker and directory; what is not told is forgotten."""
        for gauge, part in ((self.disk_free, 0), (self.disk_size, 1)):
            gauge.clear()
            for place, bytes_ in disks.items():
                gauge.labels(*place).set(bytes_[part])

    def forget_partition(self, partition: int) -> None:
        """Drop what was told of a partition that has left: another worker tells it now."""
        for gauge in (self.lag, self.lag_seconds, self.stalled, self.watermark_delay):
            self._remove(gauge, partition)
        self.emotions.forget_partition(partition)

    def _remove(self, gauge: Gauge, partition: int) -> None:
        with suppress(KeyError):  # nothing of it was told yet
            gauge.remove(str(partition))

    def count(self, batch: Batch, result: FeedResult) -> None:
        """Count a batch that has been committed."""
        refused = [chunk for chunk, _ in result.rejected]  # by the engine: they are dead letters like all others
        if batch.records:
            self.batch_records.observe(len(batch.records))
        self.chunks.inc(len(batch.chunks) - len(refused))
        self.chunk_bytes.inc(sum(len(chunk.audio) for chunk in batch.chunks) - sum(len(it.audio) for it in refused))
        self.skipped.inc(result.skipped)
        self.gaps.inc(result.gaps)
        self.repeats.inc(result.repeats)
        self.clicks.inc(result.clicks)
        for _, rejected in batch.rejected:
            self.dead_letters.labels(rejected.reason).inc()
        now = time.time()
        for event in result.written:
            record = batch.records.get(event.last) if event.last else None
            if record:  # else the event needed nothing of this batch: its stream was closed for being idle
                self.event_delay.observe(max(0.0, now - record.timestamp / 1000))
        for kind, number in Counts(event.kind for event in result.written).items():
            self.events.labels(kind).inc(number)
        self.emotions.count(batch.chunks, refused, result)
        self.drift.count(result.measured)

    def abort(self, cause: BaseException) -> None:
        """Count a transaction that was given up."""
        self.transactions.labels("aborted").inc()
        causes = {"fenced": _FENCED, "rebalance": _MOVED_ON, "timeout": KafkaTimeoutError, "refused": KafkaError}
        fits = (name for name, errors in causes.items() if isinstance(cause, errors))
        self.aborted.labels(next(fits, "failed")).inc()

    def model_in_use(self, card: ModelCard) -> None:
        """Tell which model new segments take."""
        self.model.info({"name": card.name, "version": card.version})
        self.model_created.set(card.created.timestamp())
        self.emotions.begin_at_zero(card.labels)
        self.drift.follow(card)

    def routed(self, route: Route) -> None:
        """Tell which models new utterances take."""
        self.model_in_use(route.model.card)
        self.canary_share.clear()
        if route.canary:
            self.canary_share.labels(route.canary.card.version).set(route.share)

    def error(self, stage: str, error: BaseException) -> None:
        """Count an error. Its text goes to the log, never into a label."""
        self.errors.labels(stage, type(error).__name__).inc()

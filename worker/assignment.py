"""The partitions of this worker: state is restored before the first record is read, and forgotten when they leave.

The listener's callbacks run in the client's network loop, where waiting would hold up heartbeats. So they only take
notes, and `restore_assigned` does the work between two polls. Nothing is in hand then: all that earlier polls returned
has been committed, which is why a revoked partition needs no last commit.
"""

import logging
import time
from collections.abc import Callable, Iterable

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.reading import UnfinishedRead
from worker.changelog import States, model_versions
from worker.metrics import WorkerMetrics
from worker.timer import Timer

log = logging.getLogger(__name__)

# How long one attempt to learn a committed offset may block; in between the loop looks for a stop signal.
_POSITION_TIMEOUT_MS = 1000
# An open transaction holds offsets back for 20 s by default; one whose end a broker has lost does so for good.
_PATIENCE_S = 60.0


class Assignment(ConsumerRebalanceListener):
    """Notes what the group assigns and revokes, and brings the engine in line with it."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        engine: Engine,
        read_states: Callable[[list[int]], States],
        find_model: Callable[[str], Model | None],
        metrics: WorkerMetrics,
    ) -> None:
        self._consumer = consumer
        self._engine = engine
        self._read_states = read_states
        self._find_model = find_model
        self._metrics = metrics
        self._assigned: set[TopicPartition] = set()
        self._revoked: set[TopicPartition] = set()
        self._patience = Timer(_PATIENCE_S)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take no record of a new partition before its state is here."""
        self._metrics.rebalances.labels("assigned").inc()
        self._consumer.pause(*assigned)
        self._assigned.update(assigned)
        self._patience.restart()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Another worker takes these over, from the state that was committed."""
        self._metrics.rebalances.labels("revoked").inc()
        self._leave(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """These belong to another worker already."""
        self._metrics.rebalances.labels("lost").inc()
        self._leave(lost)

    def _leave(self, partitions: Iterable[TopicPartition]) -> None:
        self._assigned.difference_update(partitions)
        self._revoked.update(partitions)

    @property
    def restored(self) -> bool:
        """Whether every partition of this worker is being read."""
        return not self._assigned and not self._revoked

    def positions(self) -> dict[TopicPartition, int]:
        """The partitions that are being read, and the next offset of each; all before it have been polled."""
        # With a timeout of 0 it says what it knows. With none it would wait for the offsets of other partitions.
        known = {
            partition: self._consumer.position(partition, timeout_ms=0)
            for partition in sorted(self._consumer.assignment() - self._assigned)
        }
        return {partition: position for partition, position in known.items() if position is not None}

    def restore_assigned(self) -> None:
        """Forget what was revoked, restore what was assigned, then resume it.

        Where the offsets are held back, or the worker is to stop, it returns without, to be called again.
        """
        revoked, self._revoked = self._revoked, set()
        for partition in revoked:
            self._engine.drop(partition.partition)
            self._metrics.forget_partition(partition.partition)
        if revoked:
            log.info("partitions %s: revoked", _numbers(revoked))
        assigned = sorted(self._assigned)
        if not assigned:
            return
        # First the committed offsets, then the changelog's end. What an earlier owner left open holds its offsets
        # back until it is decided (KIP-447), so the end that is read after them lies behind all that it wrote.
        if any(self._consumer.position(partition, timeout_ms=_POSITION_TIMEOUT_MS) is None for partition in assigned):
            if self._patience.due():
                _report_held_back(assigned)
            return
        start = time.monotonic()
        try:
            states = self._read_states([partition.partition for partition in assigned])
        except UnfinishedRead:
            return  # the worker is stopping; half of the state must not be gone on from
        self._know_models(states)
        for stream, (number, value) in states.items():
            self._restore(stream, number, value, assigned[0].topic)
        self._metrics.restore_seconds.observe(time.monotonic() - start)
        self._metrics.restored_streams.inc(len(states))
        self._consumer.resume(*assigned)
        self._assigned.difference_update(assigned)
        log.info(
            "partitions %s: %d streams restored in %.2f s",
            _numbers(assigned),
            len(states),
            time.monotonic() - start,
        )

    def _know_models(self, states: States) -> None:
        """Load the models in which streams stand in the middle of an utterance; they finish it with them."""
        for version in model_versions(states) - self._engine.model_versions:
            model = self._find_model(version)
            if model:
                self._engine.add_model(model)
            else:
                log.warning("model %s is gone: utterances that it had begun begin again", version)

    def _restore(self, stream: str, partition: int, value: bytes, topic: str) -> None:
        try:
            self._engine.restore(stream, partition, value, topic)
        except ValueError as error:
            # Not written by a worker of this version. The stream goes on as after a gap; the others are untouched.
            self._metrics.error("restore", error)
            log.error("state of %s in partition %d cannot be used, its call starts anew: %s", stream, partition, error)


def _report_held_back(partitions: Iterable[TopicPartition]) -> None:
    log.error(
        "partitions %s: Kafka has held their offsets back for over %.0f s, as if a transaction were open;"
        " docs/how-to/runbook.md says how to end one that hangs",
        _numbers(partitions),
        _PATIENCE_S,
    )


def _numbers(partitions: Iterable[TopicPartition]) -> str:
    return ",".join(str(partition.partition) for partition in sorted(partitions))

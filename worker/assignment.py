"""The partitions of this worker: state is restored before the first new record is read, and forgotten when they leave.

The listener's callbacks run in the client's network loop, where waiting would hold up heartbeats. So they only take
notes, and `restore_assigned` does the work between two polls. Nothing is in hand then: all that earlier polls returned
has been committed, which is why a revoked partition needs no last commit.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from schemas.dead_letters import Reason, Rejected
from undertone.inference.engine import Engine
from worker.batch import DeadLetters, Polled
from worker.changelog import Restore
from worker.event_time import EventTime
from worker.metrics import WorkerMetrics
from worker.poison_pill import PoisonPills
from worker.replay import Replay, ReplayFrom
from worker.restorer import Restorer
from worker.start_offset import start_offset, tell_lost
from worker.timer import Timer
from worker.traces import Traces

log = logging.getLogger(__name__)

# An open transaction holds offsets back for 20 s by default; one whose end a broker has lost does so for good.
_PATIENCE_S = 60.0
# An offset that is not held back is known after some milliseconds.
_HELD_BACK_S = 0.5


@dataclass
class _Assigned:
    """A partition of which nothing new is read yet: its offset is learnt, then its state, then comes its replay."""

    committed: int | None = None
    replay_from: ReplayFrom | None = None
    restore: Restore | None = None  # asked for once the offset is known
    since: float = field(default_factory=time.monotonic)
    replay: Replay | None = None
    streams: int = 0  # that were restored
    dead_letters: DeadLetters = field(default_factory=list)
    patience: Timer = field(default_factory=lambda: Timer(_PATIENCE_S))
    held_back: Timer = field(default_factory=lambda: Timer(_HELD_BACK_S))


class Assignment(ConsumerRebalanceListener):
    """Notes what the group assigns and revokes, and brings the engine in line with it."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        engine: Engine,
        restorer: Restorer,
        fence: Callable[[], None],
        metrics: WorkerMetrics,
        can_write: Callable[[int], bool] = lambda partition: True,
    ) -> None:
        self._consumer = consumer
        self._engine = engine
        self._restorer = restorer
        self._fence = fence
        self._metrics = metrics
        # Whether state can be written for a partition: the producer learns of a new one later than the consumer.
        self._can_write = can_write
        self._finished: list[Restore] = []
        self._assigned: dict[TopicPartition, _Assigned] = {}
        self._revoked: set[TopicPartition] = set()
        self._dead_letters: DeadLetters = []
        self._partitions = 0  # of call-audio, when it was last looked at

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take no record of a new partition before its state is here."""
        self._metrics.rebalances.labels("assigned").inc()
        for partition in assigned:
            self._consumer.pause(partition)
            # A place to stand until its offset is known. The client would look it up by itself, for all partitions in
            # one request, and where one of them is held back none would get its offset and each poll would wait.
            self._consumer.seek(partition, 0)
            self._assigned[partition] = _Assigned()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Another worker takes these over, from the state that was committed."""
        self._metrics.rebalances.labels("revoked").inc()
        self._leave(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """These belong to another worker already."""
        self._metrics.rebalances.labels("lost").inc()
        self._leave(lost)

    def _leave(self, partitions: Iterable[TopicPartition]) -> None:
        for partition in partitions:
            assigned = self._assigned.pop(partition, None)
            if assigned and assigned.restore:
                assigned.restore.cancelled = True
            self._revoked.add(partition)

    @property
    def restored(self) -> bool:
        """Whether every partition of this worker is being read."""
        return not self._assigned and not self._revoked

    def positions(self) -> dict[TopicPartition, int]:
        """The partitions that are being read, and the next offset of each; all before it have been polled."""
        # With a timeout of 0 it says what it knows. With none it would wait for the offsets of other partitions.
        known = {
            partition: self._consumer.position(partition, timeout_ms=0)
            for partition in sorted(self._consumer.assignment() - self._assigned.keys())
        }
        return {partition: position for partition, position in known.items() if position is not None}

    def restore_assigned(self) -> None:
        """Forget what was revoked, and go on with restoring what was assigned: a step that never waits.

        Each partition is resumed as soon as it is restored, whatever holds up the others.
        """
        self._forget_revoked()
        for partition, assigned in sorted(self._assigned.items()):
            # First the committed offset, then the changelog's end. What an earlier owner left open holds the offset
            # back until it is decided (KIP-447), so the end that is read after it lies behind all that it wrote.
            if not assigned.restore and self._learn_offset(partition, assigned):
                self._request(partition, assigned)
        self._look_after_held_back()
        self._finished += self._restorer.finished()
        resumed = {
            partition: it
            for partition, it in self._assigned.items()
            if it.restore in self._finished
            and self._can_write(partition.partition)
            and self._know_models(partition, it)
        }
        for partition, assigned in resumed.items():
            self._resume(partition, assigned)
        restores = [it.restore for it in resumed.values()]
        self._finished = [it for it in self._finished if it not in restores and not it.cancelled]
        self._go_on([partition for partition, assigned in resumed.items() if not assigned.replay])

    def hear_again(
        self, polled: Polled, poison_pills: PoisonPills, event_time: EventTime, traces: Traces
    ) -> list[TopicPartition]:
        """Feed the engine what the restored states do not hold.

        Returns the partitions that have come to their committed offsets by that: what they have beyond is new.

        Raises:
            EngineFailure: the engine raised on what it hears again.
        """
        done = []
        for partition, replay in self.replays.items():
            chunks, dead_letters = replay.hear(partition, polled.get(partition, ()), poison_pills, event_time, traces)
            self._assigned[partition].dead_letters += dead_letters
            self._metrics.replayed_chunks.inc(chunks)
            if (self._consumer.position(partition, timeout_ms=0) or 0) >= replay.until:
                done.append(partition)
        self._go_on(done)
        return done

    @property
    def replays(self) -> dict[TopicPartition, Replay]:
        """The partitions that are heard again."""
        return {partition: it.replay for partition, it in self._assigned.items() if it.replay}

    def tell_restores(self) -> None:
        """How many partitions are not being read yet, and for how long."""
        now, waiting = time.monotonic(), self._assigned.values()
        self._metrics.restoring_partitions.set(len(waiting))
        self._metrics.restoring_seconds.set(max((now - it.since for it in waiting), default=0.0))

    def look_for_new_partitions(self) -> None:
        """Say it where the topic has got more partitions: the calls of then are cut in two."""
        for topic in {partition.topic for partition in self._consumer.assignment()}:
            before, now = self._partitions, len(self._consumer.partitions_for_topic(topic))
            self._partitions = now
            if before and now > before:
                log.warning(
                    "%s has %d partitions now, and had %d: a call that goes on in another one is a new stream there,"
                    " and what it was before is closed for being idle",
                    topic,
                    now,
                    before,
                )

    def _forget_revoked(self) -> None:
        revoked, self._revoked = self._revoked, set()
        for partition in revoked:
            self._engine.drop(partition.partition)
            self._metrics.forget_partition(partition.partition)
        if revoked:
            log.info("partitions %s: revoked", _numbers(revoked))

    def _learn_offset(self, partition: TopicPartition, assigned: _Assigned) -> bool:
        try:
            # With a timeout of 0 it takes the answer to the question that an earlier call has sent, or sends it.
            committed: OffsetAndMetadata | None = self._consumer.committed(partition, metadata=True, timeout_ms=0)
        except KafkaTimeoutError:
            return False
        if committed:
            assigned.committed, assigned.replay_from = committed.offset, ReplayFrom.read(committed)
        return True

    def _request(self, partition: TopicPartition, assigned: _Assigned) -> None:
        models = assigned.replay_from.models if assigned.replay_from else set[str]()
        assigned.restore = self._restorer.request(partition.partition, models)

    def _look_after_held_back(self) -> None:
        """End what dead workers have left open; what nobody ends is told of."""
        waiting = {place: it for place, it in self._assigned.items() if not it.restore}
        if any(it.held_back.due() for it in waiting.values()):
            self._fence()
        held = [place for place, it in waiting.items() if it.patience.due()]
        if held:
            log.error(
                "partitions %s: Kafka has held their offsets back for over %.0f s, as if a transaction were open;"
                " docs/how-to/runbook.md says how to end one that hangs",
                _numbers(held),
                _PATIENCE_S,
            )

    def _resume(self, partition: TopicPartition, assigned: _Assigned) -> None:
        """Give the engine the states, and read on: what they do not hold yet, or else what is new."""
        restore = assigned.restore
        if not restore:
            return
        streams = {stream for stream, record in restore.states.items() if self._restore(stream, partition, record)}
        assigned.streams = len(restore.states)
        restore.states.clear()  # the engine has them
        assigned.dead_letters += restore.dead_letters
        has_history = restore.end > 0
        start = start_offset(partition, assigned.committed, restore.audio, has_history, self._metrics)
        begin = assigned.replay_from
        first = max(begin.offset, restore.audio.start) if begin else start
        if begin and begin.offset < first:
            lost = min(first, assigned.committed or first) - begin.offset
            tell_lost(partition, lost, "they were heard again", first, self._metrics)
        if begin and first < start:
            assigned.replay = Replay(self._engine, begin, start, begin.route(self._engine), streams)
        self._consumer.seek(partition, min(first, start))
        self._consumer.resume(partition)

    def _go_on(self, partitions: Collection[TopicPartition]) -> None:
        """These are restored: what is polled of them is new from now on."""
        if not partitions:
            return
        gone = {partition: self._assigned.pop(partition) for partition in partitions}
        seconds = [time.monotonic() - it.restore.began for it in gone.values() if it.restore]
        streams = sum(it.streams for it in gone.values())
        for assigned in gone.values():
            self._dead_letters += assigned.dead_letters
        for each in seconds:
            self._metrics.restore_seconds.observe(each)
        self._metrics.restored_streams.inc(streams)
        self.look_for_new_partitions()
        log.info("partitions %s: %d streams restored in %.2f s", _numbers(partitions), streams, max(seconds))

    def _know_models(self, partition: TopicPartition, assigned: _Assigned) -> bool:
        """Whether the engine has the models of all restored streams; those that were looked up it is given."""
        restore = assigned.restore
        if not restore:
            return False
        missing = restore.model_versions - self._engine.model_versions
        if not missing <= restore.models.keys():
            # A new model came after the restorer had looked, and the engine gave one up that is needed after all.
            restore.cancelled = True
            self._request(partition, assigned)
            return False
        for model in (restore.models[version] for version in missing):
            if model:
                self._engine.add_model(model)
        return True

    def _restore(self, stream: str, place: TopicPartition, record: ConsumerRecord) -> bool:
        """Give the engine a state. Returns whether it could be used."""
        try:
            self._engine.restore(stream, place.partition, record.value, place.topic)
        except ValueError as error:
            # Damaged, or not written by a worker of this version. Its record is deleted, so that it is told of once,
            # and the stream goes on as after a gap; the others are untouched.
            self._engine.delete(stream, place.partition)
            self._metrics.error("restore", error)
            self._assigned[place].dead_letters.append((record, Rejected(Reason.INVALID_STATE, str(error))))
            log.error(
                "state of %s in partition %d cannot be used, its call starts anew: %s", stream, place.partition, error
            )
            return False
        return True

    def take_dead_letters(self) -> DeadLetters:
        """What could not be restored since the last call."""
        dead_letters, self._dead_letters = self._dead_letters, []
        return dead_letters


def _numbers(partitions: Iterable[TopicPartition]) -> str:
    return ",".join(str(partition.partition) for partition in sorted(partitions))

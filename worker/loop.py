"""The loop around the engine: poll, decode, feed, and one transaction for all that came of it."""

from collections.abc import Collection, Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from schemas.dead_letters import Reason
from undertone.inference.engine import Engine, StateRecord
from undertone.inference.intake import FeedResult
from undertone.messaging.dead_letters import unreadable
from undertone.messaging.fetched_records import UnreadableRecordsError
from worker.assignment import Assignment
from worker.batch import Batch, DeadLetters, Polled, decode
from worker.checkpoint import Checkpoint
from worker.collecting import Collecting
from worker.event_time import EventTime
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import EngineFailure, PoisonPills
from worker.progress import Progress
from worker.replay import ReplayFrom
from worker.saving import Saving
from worker.scratch import give_back
from worker.shadow import Shadow
from worker.start_offset import seek_into_range
from worker.timer import Timer
from worker.traces import Traces

_POLL_MS = 500
# While partitions are being restored: the sooner they are looked at, the sooner their calls go on.
_RESTORING_POLL_MS = 20
# Without a partition: one that is assigned now is looked at as soon, however long a poll for records may last.
_UNASSIGNED_POLL_MS = 100
# A worker without work learns from a transaction without records whether it still is a member of its group: its
# heartbeats would not tell that another one has taken its name.
_CHECK_IN_S = 10.0
# Of each step of the transaction with which a worker leaves: a Kafka that is away does not keep it.
_LAST_SAVE_S = 3.0
# The gauges, and a look for a new model: often enough for people, too seldom to cost anything.
_CHORES_S = 1.0
# Memory that lies free: it takes a few ms, and as much of the next blocks.
_GIVE_BACK_S = 5.0

Positions = Mapping[TopicPartition, int]


class Loop:
    """One membership's loop. Run it until it is to stop, or it raises."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        checkpoint: Checkpoint,
        assignment: Assignment,
        engine: Engine,
        models: ModelFeed,
        poison_pills: PoisonPills,
        progress: Progress,
        metrics: WorkerMetrics,
        traces: Traces,
        collecting: Collecting,
        batch_records: int,
        shadow: Shadow,
        idle_seconds: float,
        state_seconds: float,
    ) -> None:
        self._consumer = consumer
        self._checkpoint = checkpoint
        self._assignment = assignment
        self._engine = engine
        self._models = models
        self._poison_pills = poison_pills
        self._progress = progress
        self._metrics = metrics
        self._traces = traces
        self._dead_letters: DeadLetters = []  # of records that cannot be read, for the next transaction
        self._collecting = collecting
        self._batch_records = batch_records
        self._shadow = shadow
        self._event_time = EventTime(consumer, engine, idle_seconds)
        self._saving = Saving(state_seconds)
        self._chores = Timer(_CHORES_S)
        self._give_back = Timer(_GIVE_BACK_S)
        self._check_in = Timer(_CHECK_IN_S)
        # A stream may live a thirtieth longer than the idle time: 10 s of 300.
        self._idle_check = Timer(idle_seconds / 30)

    def run_once(self) -> None:
        """One batch, from poll to commit.

        Raises:
            EngineFailure: the engine raised; nothing has been written.
            KafkaError: Kafka cannot be read, or did not take the transaction.
        """
        complete = self._assignment.restored
        self._assignment.restore_assigned()
        wait_ms = _POLL_MS
        if not self._assignment.restored:
            wait_ms = _RESTORING_POLL_MS
        elif not complete:  # the pass that restores ends at once, for only then does the worker say that it is ready
            wait_ms = 0
        elif not self._consumer.assignment():
            wait_ms = _UNASSIGNED_POLL_MS
        with self._metrics.stage("poll"):
            records = 1 if self._poison_pills.one_by_one(self._consumer.assignment()) else self._batch_records
            self._collecting.begin()
            polled = self._poll(wait_ms, records)
            self._collecting.heard(sum(map(len, polled.values())))
        polled = self._hear_again(polled)
        # Of all partitions, not only of those with records: the group's coordinator checks the membership by them,
        # and a stream that is closed for being idle must not be closed by a zombie.
        positions = self._assignment.positions()
        with self._metrics.stage("decode"):
            self._event_time.follow([*positions, *self._assignment.replays])
            batch = decode(polled, self._poison_pills, self._event_time)
            batch.rejected += [*self._dead_letters, *self._assignment.take_dead_letters()]
            self._dead_letters.clear()
            self._traces.note(batch.chunks)
        closing = self._idle_check.due()
        if closing:
            self._event_time.pass_quiet_time(positions)
        with self._metrics.stage("engine"):
            result = self._feed(batch, positions if closing else ())
        if self._models.busy or self._chores.due():
            self._do_chores(batch)
        with self._metrics.stage("state"):
            changed = self._take_changes(batch, positions)
        if changed or batch.records or batch.rejected or self._check_in.due():
            with self._checkpoint.transaction(self._offsets(positions)) as transaction:
                transaction.publish(result.written, self._traces)
                transaction.save(changed)
                transaction.reject(batch.rejected)
            self._traces.written(result.written)
            self._check_in.restart()
            self._poison_pills.passed(positions)
            self._metrics.count(batch, result)
        assigned = [partition.partition for partition in self._consumer.assignment()]
        self._progress.reached(assigned, {partition.partition: offset for partition, offset in positions.items()})
        self._shadow.follow(self._models.challenger, self._models.route.share)
        if batch.chunks or closing:
            with self._metrics.stage("shadow"):
                self._shadow.hear(batch, result, self._times(positions) if closing else {}, assigned)

    def _times(self, positions: Collection[TopicPartition]) -> dict[int, int]:
        """The event times of partitions, as far as they have one."""
        times = ((partition.partition, self._event_time.now(partition)) for partition in positions)
        return {number: now_ms for number, now_ms in times if now_ms is not None}

    def _poll(self, wait_ms: int, records: int) -> Polled:
        try:
            return self._consumer.poll(timeout_ms=wait_ms, max_records=records)
        except OffsetOutOfRangeError as error:
            seek_into_range(self._consumer, error.args[0], self._metrics)
        except UnreadableRecordsError as error:
            self._metrics.error("poll", error)
            if error.partition in self._consumer.assignment():
                replay = self._assignment.replays.get(error.partition)
                if not replay or error.next_offset > replay.until:  # else it has been told of
                    self._dead_letters.append(unreadable(error))
                self._consumer.seek(error.partition, error.next_offset)
        return {}

    def _hear_again(self, polled: Polled) -> Polled:
        """Let the partitions that have been restored catch up with their committed offsets; what is left is new."""
        replays = self._assignment.replays
        if not replays:
            return polled
        if polled.keys() & replays.keys():
            self._progress.restoring()
        with self._metrics.stage("replay"):
            done = self._assignment.hear_again(polled, self._poison_pills, self._event_time, self._traces)
        for partition in done:
            # The next one who takes over is to begin here, not to hear again what has just been heard again.
            self._saving.save_all(partition.partition)
        new = dict(polled)
        for partition, replay in replays.items():
            beyond = [record for record in new.pop(partition, ()) if record.offset >= replay.until]
            if beyond:
                new[partition] = beyond
        return new

    def _take_changes(self, batch: Batch, positions: Positions) -> list[StateRecord]:
        """The states that go with this transaction; all of them where a replay would come out otherwise than this pass.

        Those are: another model for new utterances, a message that the engine fails on, a stream that there was no room
        for.
        """
        heard = {partition.partition: position for partition, position in positions.items()}
        switching = self._models.route != self._engine.route
        for record, rejected in batch.rejected:
            if rejected.reason in (Reason.PROCESSING_FAILED, Reason.TOO_MANY_STREAMS):
                self._saving.save_all(record.partition)
        changed = self._engine.take_changes(heard if switching else self._saving.before(heard, self._unsaved(heard)))
        if switching:
            self._engine.switch_model(*self._models.route)
        return changed

    def _unsaved(self, numbers: Iterable[int]) -> dict[int, int]:
        """The partitions with states that are behind, and since which record they are."""
        oldest = ((number, self._engine.unsaved_since(number)) for number in numbers)
        return {number: place.offset for number, place in oldest if place}

    def _offsets(self, positions: Positions) -> dict[TopicPartition, OffsetAndMetadata]:
        """Up to where each partition has been heard, and from where it is to be heard again."""
        offsets = {}
        for partition, position in positions.items():
            again = ReplayFrom.of(self._engine, partition.partition)
            offsets[partition] = OffsetAndMetadata(position, again.written() if again else "", -1)
        return offsets

    def save_all(self) -> None:
        """Save every state that has changed.

        Raises:
            KafkaError: Kafka did not take it.
        """
        positions = self._assignment.positions()
        changed = self._engine.take_changes({partition.partition: place for partition, place in positions.items()})
        if changed:
            with self._checkpoint.transaction(self._offsets(positions), _LAST_SAVE_S) as transaction:
                transaction.save(changed)

    def _feed(self, batch: Batch, closing: Collection[TopicPartition]) -> FeedResult:
        """Feed the engine, and close the idle streams of the partitions `closing`."""
        try:
            result = self._engine.feed(batch.chunks) if batch.chunks else FeedResult()
            for number, now_ms in self._times(closing).items():
                idle = self._engine.close_idle(number, now_ms)
                result.written += idle.written
                result.clicks += idle.clicks
                result.measured += idle.measured
        except Exception as error:
            raise EngineFailure(batch.chunks) from error
        for chunk, rejected in result.rejected:
            batch.reject(chunk, rejected)
        return result

    def _do_chores(self, batch: Batch) -> None:
        batch.rejected += self._models.poll()
        self._assignment.look_for_new_partitions()
        self._metrics.routed(self._models.route)
        self._metrics.drift.tell()
        self._metrics.open_streams.set(self._engine.open_streams)
        self._metrics.tell_watermarks(self._event_time.delays())
        self._assignment.tell_restores()
        if self._give_back.due():
            give_back()

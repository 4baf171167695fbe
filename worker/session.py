"""One membership of the group: its clients and its engine, from joining until it ends.

After any failure the whole session is thrown away and a new one begins from what Kafka holds: nothing of a failed
batch can survive in an engine that is new.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import MemberToRemove
from kafka.errors import FencedInstanceIdError, KafkaError, NoError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.engine import Engine
from undertone.messaging.clients import admin, group_consumer, transactional_producer
from undertone.messaging.dead_letters import DeadLetterPolicy
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import close_at_once, has_joined, learn_partitions
from undertone.observability.spans import Spans
from worker.assignment import Assignment
from worker.checkpoint import Checkpoint
from worker.collecting import Collecting
from worker.fencing import Fencing, group_id, transactional_id
from worker.loop import Loop
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import PoisonPills
from worker.progress import Progress
from worker.restorer import Restorer
from worker.settings import WorkerSettings
from worker.shadow import Shadow
from worker.traces import Traces

log = logging.getLogger(__name__)

_CLOSE_S = 5
# The client's own 30 s would keep a worker away for half a minute from a broker that is back.
_RECONNECT_MS = 2000
# A poll that joins lasts as long as it may, though the group may have answered after 10 ms.
# How soon new partitions are known; the client's own is five minutes.
_METADATA_MS = 60_000
_POLL_MS = 20


class Session:
    """Consumer, producer, engine and the loop between them."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        models: ModelFeed,
        poison_pills: PoisonPills,
        progress: Progress,
        metrics: WorkerMetrics,
        stopping: Callable[[], bool],
        spans: Spans | None = None,
    ) -> None:
        topics = Topics(kafka.topic_prefix)
        self._kafka = kafka
        self._leave_on_stop = settings.leave_on_stop
        self._stopping = stopping
        with ExitStack() as undo:  # where one of them cannot be made
            self._consumer = _consumer(kafka, settings)
            undo.callback(self._close_consumer)
            self._producer = _producer(kafka, settings)
            undo.pop_all()
        engine = Engine(
            models.current,
            analyze_agent=settings.analyze_agent,
            max_streams=settings.max_streams,
            idle_seconds=settings.idle_seconds,
            measure=True,
        )
        engine.switch_model(*models.route)
        self._restorer = Restorer(
            kafka, topics, metrics, progress.restoring, models.find, lambda: engine.model_versions
        )
        self._assignment = Assignment(
            self._consumer,
            engine,
            self._restorer,
            Fencing(kafka, settings.transaction_timeout_s, metrics).request,
            metrics,
            lambda partition: partition in self._producer.partitions_for(topics.worker_state.name),
        )
        self._topic = topics.call_audio.name
        self._consumer.subscribe([self._topic], listener=self._assignment)
        checkpoint = Checkpoint(
            self._producer,
            self._consumer.group_metadata,
            topics,
            metrics,
            settings.transaction_timeout_s,
            DeadLetterPolicy(values=kafka.dead_letter_values, agents=settings.analyze_agent),
        )
        self._loop = Loop(
            self._consumer,
            checkpoint,
            self._assignment,
            engine,
            models,
            poison_pills,
            progress,
            metrics,
            Traces(spans),
            Collecting(self._consumer, settings.batch_ms, settings.batch_bytes),
            settings.batch_records,
            Shadow(
                settings.shadow_share,
                metrics.shadow,
                settings.batch_records,
                analyze_agent=settings.analyze_agent,
                max_streams=settings.max_streams,
                idle_seconds=settings.idle_seconds,
            ),
            settings.idle_seconds,
            settings.state_seconds,
        )

    def join(self) -> None:
        """Become a member, then abort what an earlier self has left open.

        In this order: whoever finds its producer fenced by ours can learn from the group that we have its name.
        """
        learn_partitions(self._consumer, self._topic)
        while not self._stopping() and not has_joined(self._consumer):
            self._consumer.poll(timeout_ms=_POLL_MS)
        if not self._stopping():
            self._producer.init_transactions()

    def run_once(self) -> None:
        """One batch; see `Loop.run_once`."""
        self._loop.run_once()

    def save(self) -> None:
        """Save all states before it ends, so that whoever goes on has nothing to hear again."""
        try:
            self._loop.save_all()
        except KafkaError as error:
            log.warning("states could not be saved, what came since the last ones will be heard again: %s", error)

    @property
    def ready(self) -> bool:
        """Whether every partition of this worker is being read."""
        return self._assignment.restored

    @property
    def partitions(self) -> list[int]:
        """The partitions that are being read."""
        return [partition.partition for partition in self._assignment.positions()]

    def replaced(self) -> bool:
        """Whether another worker has taken this one's instance id.

        Only a commit tells, so it commits again what is committed, or what an absent commit means: the beginning.
        """
        try:
            for partition in list(self._consumer.assignment())[:1]:
                # With its metadata, without which nothing would be heard again.
                kept = self._consumer.committed(partition, metadata=True, timeout_ms=_CLOSE_S * 1000)
                if kept is None:
                    kept = OffsetAndMetadata(self._consumer.beginning_offsets([partition])[partition])
                self._consumer.commit({partition: kept}, timeout_ms=_CLOSE_S * 1000)
        except FencedInstanceIdError:
            return True
        except KafkaError as error:
            log.debug("the group does not say: %s", error)
        return False

    def close(self) -> None:
        """End. As a static member it keeps its partitions until its session times out or it comes back.

        A worker that is told to stop and does not come back gives them up at once.
        """
        member = self._consumer.group_metadata()
        self._restorer.close()
        # Whatever the producer still holds is of a transaction that was given up.
        for close in (partial(close_at_once, self._producer, _CLOSE_S), self._close_consumer):
            try:
                close()
            except KafkaError as error:
                log.warning("while leaving: %s", error)
        if self._leave_on_stop and self._stopping():
            self._give_up_membership(member)

    def _give_up_membership(self, member: ConsumerGroupMetadata) -> None:
        # The client sends no LeaveGroup for a static member. With the member id: another worker that has taken the
        # instance id meanwhile is not thrown out.
        leaving = MemberToRemove(member_id=member.member_id, group_instance_id=member.group_instance_id)
        try:
            with closing(admin(self._kafka)) as client:
                (error,) = client.remove_group_members(member.group_id, [leaving]).values()
        except (KafkaError, UserError) as failure:
            error = failure
        if error is NoError:
            log.info("left the group for good: the others take over now")
        else:
            log.warning("could not leave the group, its partitions wait for its session to expire: %s", error)

    def _close_consumer(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=_CLOSE_S * 1000)


def _consumer(kafka: KafkaSettings, settings: WorkerSettings) -> KafkaConsumer:
    session_ms = int(settings.session_timeout_s * 1000)
    return group_consumer(
        kafka,
        group_id(kafka),
        settings.instance_id,
        session_timeout_ms=session_ms,
        # It is by a heartbeat that the others learn whom the group has given up: with the client's 3 s, 3 s later.
        heartbeat_interval_ms=min(1000, session_ms // 3),
        # How long the broker collects, and how much of each partition, is up to `Collecting`.
        fetch_max_bytes=settings.batch_bytes,
        max_poll_records=settings.batch_records,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metadata_max_age_ms=_METADATA_MS,
        auto_offset_reset="none",  # `start_offset` decides, and says what is lost or read again
    )


def _producer(kafka: KafkaSettings, settings: WorkerSettings) -> KafkaProducer:
    return transactional_producer(
        kafka,
        transactional_id(kafka, settings.instance_id),
        transaction_timeout_ms=int(settings.transaction_timeout_s * 1000),
        # A transaction is flushed as a whole, so nothing is sent before: its records then fill few, large requests.
        # A partition takes one request after the other, and at the default 16 KiB that is one for four states.
        linger_ms=60_000,
        batch_size=512 * 1024,
        reconnect_backoff_max_ms=_RECONNECT_MS,
        metadata_max_age_ms=_METADATA_MS,
    )

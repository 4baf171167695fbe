"""The checkpoint: everything that a batch has changed goes to Kafka in one transaction, or nothing of it does.

`docs/explanation/exactly-once.md` goes through the numbered steps and says what a failure between any two of them
leaves behind.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CommitFailedError, KafkaError
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from schemas.dead_letters import Rejected
from schemas.events import WrittenEvent
from schemas.topics import Topics
from undertone.inference.engine import StateRecord
from undertone.messaging.dead_letters import DeadLetterPolicy, dead_letter
from undertone.messaging.sending import Outgoing, send_together
from undertone.messaging.workarounds import bounded
from worker.metrics import WorkerMetrics
from worker.traces import Traces

log = logging.getLogger(__name__)

# An abort is a courtesy to those who read: the next session's first request aborts what was left open.
_ABORT_TIMEOUT_S = 5.0


class Transaction:
    """What may be written while a transaction is open."""

    def __init__(self, producer: KafkaProducer, topics: Topics, dead_letter_policy: DeadLetterPolicy) -> None:
        self._producer = producer
        self._topics = topics
        self._dead_letter_policy = dead_letter_policy

    def publish(self, events: Iterable[WrittenEvent], traces: Traces) -> None:
        """Events, each under its stream's key, so that a stream's events keep their order."""
        records = (Outgoing(event.subject.encode(), event.value, traces.headers(event)) for event in events)
        send_together(self._producer, self._topics.emotion_events.name, records)

    def save(self, records: Iterable[StateRecord]) -> None:
        """The changelog: each stream's state, in the partition with the number of its audio's partition."""
        states = (Outgoing(one.stream.encode(), one.value, partition=one.partition) for one in records)
        send_together(self._producer, self._topics.worker_state.name, states)

    def reject(self, rejected_records: Iterable[tuple[ConsumerRecord, Rejected]]) -> None:
        """Messages that could not be used, as they came, or without their value where that is not to be kept."""
        for record, rejected in rejected_records:
            with_value = self._dead_letter_policy.keeps_value(record)
            key, value, headers = dead_letter(record, rejected, "worker", with_value=with_value)
            self._producer.send(self._topics.dead_letters.name, key=key, value=value, headers=headers)


class Checkpoint:
    """Opens and ends transactions for one membership of the group."""

    def __init__(
        self,
        producer: KafkaProducer,
        membership: Callable[[], ConsumerGroupMetadata],
        topics: Topics,
        metrics: WorkerMetrics,
        timeout_s: float,
        dead_letter_policy: DeadLetterPolicy,
    ) -> None:
        self._producer = producer
        self._membership = membership
        self._topics = topics
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._dead_letter_policy = dead_letter_policy

    @contextmanager
    def transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], timeout_s: float | None = None
    ) -> Iterator[Transaction]:
        """A transaction that also moves the group to `offsets`: by them zombies are told.

        They are empty only where this worker has no partition, and so nothing to write about one.

        Raises:
            CommitFailedError, FencedInstanceIdError, ProducerFencedError: another worker owns the partitions.
            KafkaError: Kafka did not take it. After any of them the engine is ahead of Kafka and must be rebuilt.
        """
        member = self._member()  # 1. who writes
        self._producer.begin_transaction()  # 2. no more than a note in the client
        try:
            with self._metrics.stage("publish"):
                yield Transaction(
                    self._producer, self._topics, self._dead_letter_policy
                )  # 3. events, state, dead letters
                self._producer.flush(timeout=timeout_s or self._timeout_s)
            with self._metrics.stage("commit"):
                # 4. The group's coordinator checks the membership here: this is where a zombie is stopped.
                if offsets:
                    self._bounded(partial(self._producer.send_offsets_to_transaction, offsets, member), timeout_s)
                # 5. Raises where anything of step 3 has failed.
                self._bounded(self._producer.commit_transaction, timeout_s)
        except BaseException as error:
            self._abort(error)
            raise
        self._metrics.transactions.labels("committed").inc()

    def _member(self) -> ConsumerGroupMetadata:
        member = self._membership()
        # A member that has lost its generation sends -1, which the broker takes for a client outside of the group:
        # where the group is empty it lets the offsets through, and a zombie would write what others have written.
        if member.generation_id < 0 or not member.member_id:
            raise CommitFailedError("this worker is no longer a member of its group")
        return member

    def _abort(self, cause: BaseException) -> None:
        self._metrics.abort(cause)
        try:
            self._bounded(self._producer.abort_transaction, timeout_s=_ABORT_TIMEOUT_S)
        except KafkaError as error:
            # A fenced producer may not even abort: who fenced it has done so already.
            log.info("no abort after %s: %s", type(cause).__name__, error)

    def _bounded(self, call: Callable[[], None], timeout_s: float | None = None) -> None:
        """Give up a call of the client after a time: by default when the broker gives up the transaction."""
        bounded(call, timeout_s or self._timeout_s)

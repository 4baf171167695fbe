"""The lease: of all trainers of one installation one rebuilds at a time, and none but that one publishes.

It is the partition of `models` in the group `undertone-trainer-rebuild`. Kafka gives it to one member and to another
when that one has gone, or has been silent for a session: there is nothing to clean up after a kill, and Kafka's own
tools show who has it. What is published goes in a transaction that also commits an offset of the group. The broker
refuses it from a member that is none any more, so a trainer that hung and comes back cannot publish beside its heir;
and a killed one has published all or nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Self

from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, KafkaError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.messaging.clients import group_consumer, transactional_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import bounded, close_at_once, has_joined, learn_partitions
from undertone.registry.changes import Record

log = logging.getLogger(__name__)

GROUP = "undertone-trainer-rebuild"
_POLL_MS = 100
# A killed trainer's open transaction holds readers of `models` back for so long; writing takes less than a second.
_TRANSACTION_S = 10
_CLOSE_S = 5
_TRIES = 5
# A rebalance lasts until the slowest member has come back: another trainer polls every half second.
_SETTLE_S = 10.0


class LeaseLostError(UserError):
    """Another trainer may have taken over."""


class Lease:
    """Membership in the group; as a context it gives the lease back at its end.

    Args:
        session_s: how long a holder may be silent before another one takes over.
    """

    def __init__(self, kafka: KafkaSettings, session_s: float) -> None:
        self._kafka = kafka
        self._token = TopicPartition(Topics(kafka.topic_prefix).models.name, 0)
        self._group = f"{kafka.topic_prefix}{GROUP}"
        self._consumer = group_consumer(
            kafka,
            self._group,
            session_timeout_ms=int(session_s * 1000),
            heartbeat_interval_ms=int(session_s * 1000 / 5),
        )
        learn_partitions(self._consumer, self._token.topic)
        self._consumer.subscribe([self._token.topic])

    def take(self, wait_s: float, stopping: Callable[[], bool]) -> bool:
        """Wait for the lease. Returns whether it is ours; False where it was told to stop.

        Raises:
            UserError: another trainer has it all the time.
        """
        end, told = time.monotonic() + wait_s, False
        while not self._poll():
            if stopping():
                return False
            if has_joined(self._consumer) and not told:
                log.info("another trainer rebuilds now: waiting for it to end")
                told = True
            if time.monotonic() > end:
                raise UserError("another trainer rebuilds now, and there is one rebuild at a time; come again later")
        return True

    def keep(self) -> None:
        """Stay a member; to be called every few seconds. Returns once a change of the group is over.

        Raises:
            LeaseLostError: it is not ours any more.
        """
        ours, end = self._poll(), time.monotonic() + _SETTLE_S
        while not has_joined(self._consumer) and time.monotonic() < end:
            ours = self._poll()
        if not ours:
            raise LeaseLostError("the lease was lost while the model was made: another trainer may have taken over")

    def write(self, records: Sequence[Record]) -> None:
        """Write records of `models`, all of them or none, and only as the holder of the lease.

        Raises:
            LeaseLostError: the lease is not ours any more; nothing was written.
            UserError: Kafka did not take them.
        """
        for left in reversed(range(_TRIES)):
            self.keep()
            try:
                self._write(records)
                return
            except CommitFailedError as error:
                # The group is of another generation than a moment ago, for a trainer has come to wait. Most likely the
                # lease is still ours, as `keep` will tell.
                log.info("the group has changed while the model was published: %s", error)
                if not left:
                    raise LeaseLostError(f"Kafka did not take the bundle from this trainer ({error})") from error
            except KafkaError as error:
                raise UserError(f"{self._token.topic}: Kafka did not take the bundle ({error})") from error

    def _write(self, records: Sequence[Record]) -> None:
        member = self._consumer.group_metadata()
        if member.generation_id < 0 or not member.member_id:  # the broker would take it for no member at all
            raise CommitFailedError("no member of the group")
        timeouts = {"transaction_timeout_ms": _TRANSACTION_S * 1000}
        producer = transactional_producer(self._kafka, self._group, **timeouts)

        def write() -> None:
            producer.init_transactions()  # ends what an earlier try, or a killed trainer, has left open
            producer.begin_transaction()
            sent = [producer.send(self._token.topic, key=key, value=value) for key, value in records]
            producer.flush(timeout=_TRANSACTION_S)
            for one in sent:
                one.get(timeout=_TRANSACTION_S)
            # Behind them: here the coordinator looks whether this is a member of its present generation.
            producer.send_offsets_to_transaction({self._token: OffsetAndMetadata(0, "", -1)}, member)
            producer.commit_transaction()

        try:
            bounded(write, 2 * _TRANSACTION_S)
        finally:
            with suppress(KafkaError):
                close_at_once(producer, _CLOSE_S)

    def _poll(self) -> bool:
        """Take part in the group; whether the lease is ours."""
        self._consumer.poll(timeout_ms=_POLL_MS)
        ours = self._token in self._consumer.assignment()
        if ours:
            self._consumer.pause(self._token)  # its records are of no interest here
        return ours

    def close(self) -> None:
        """Leave the group: who waits has the lease at once."""
        with suppress(KafkaError), closing(self._consumer):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

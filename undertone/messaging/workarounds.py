"""Faults of kafka-python that would stop a worker, mended from outside. Written for kafka-python 3.0.12.

Each mend stands here with what is seen without it. In `tests/messaging/`, `test_workarounds.py` and
`test_steady_coordinator.py` have two tests for each: that it helps, and that kafka-python still needs it. The second
fails once that has changed: then the mend can go. What a client does without the looks for partitions that have no
owner, or before it knows a topic, shows in some runs only, so they have the first alone.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer import group
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError
from kafka.net import manager
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.producer import transaction_manager
from kafka.producer.transaction_manager import TransactionalRequestResult
from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.structs import MemberState

from undertone.messaging.fetched_records import LocatingFetcher
from undertone.messaging.orderly_closing import OrderlyClient

log = logging.getLogger(__name__)

# Partitions without an owner are joined for after at most twice this time. In a healthy group a second round follows
# the first as soon as the owner polls, within a second or two.
LOOK_S = 5.0
# The shortest time for which a poll waits for records; those that come end it at once.
_REST_S = 0.05


def mend() -> None:
    """Let every client that this process makes from now on use what is mended."""
    group.ConsumerCoordinator = SteadyCoordinator
    group.Fetcher = LocatingFetcher
    manager.KafkaTCPTransport, manager.KafkaSSLTransport = WideTransport, WideTLSTransport
    transaction_manager.TransactionalRequestResult = BoundedResult
    for client in (KafkaConsumer, KafkaProducer, KafkaAdminClient):
        client.DEFAULT_CONFIG["kafka_client"] = OrderlyClient


def ask_at_once(consumer: KafkaConsumer) -> None:
    """Let a consumer that has just been made look up its first topic without waiting.

    Symptom: its first `assign`, `end_offsets` or `partitions_for_topic` takes 110 ms, 100 of them asleep; a worker
    makes five consumers before it is ready, and a restore two.

    Cause: between two requests for metadata there are 100 ms (`retry_backoff_ms` is not handed on to the part that
    sends them), also between the one that a new client sends to find its brokers, which names no topic, and the first
    that does. Later ones keep their distance.
    """
    consumer._manager.cluster._last_refresh_ms = 0


def close_at_once(producer: KafkaProducer, timeout_s: float) -> None:
    """Let go of a producer, of what it still holds, too: that has failed then.

    Symptom: where a record cannot be delivered `close` raises KafkaTimeoutError, and the producer's thread runs on with
    its connections as long as the process. A worker makes a new producer after every failure.

    Cause: `close` flushes first, and where that takes too long it raises before it has told the thread to end.
    """
    producer._sender.force_close()
    producer.close(timeout=timeout_s)


def bounded(call: Callable[[], object], timeout_s: float) -> None:
    """Make calls that end a transaction, and give them up after a time.

    Symptom: a broker's restart left a worker standing still in `send_offsets_to_transaction`.

    Cause: the client waits for ever, and where its connection is lost at the wrong moment for ever is what it takes.
    No thread waits for it here: two of them for each transaction were a tenth of what one costs.

    Raises:
        KafkaTimeoutError: they have not come back in time; what they raise themselves, too.
    """
    _give_up.at = time.monotonic() + timeout_s
    try:
        call()
    finally:
        _give_up.at = None


class _GiveUp(threading.local):
    """When this thread's calls are given up, on the monotonic clock."""

    at: float | None = None


_give_up = _GiveUp()


class BoundedResult(TransactionalRequestResult):
    """What such a call waits for; within `bounded` not for ever."""

    def wait(self, timeout_ms: float | None = None) -> bool:
        """Wait for the answer."""
        if timeout_ms is not None or _give_up.at is None:
            return bool(super().wait(timeout_ms))
        if not super().wait(1000 * max(0.0, _give_up.at - time.monotonic())):
            raise KafkaTimeoutError("Kafka does not answer, the transaction is given up")
        return True


def learn_partitions(consumer: KafkaConsumer, topic: str) -> None:
    """Learn a topic's partitions before the group is joined.

    Symptom: the first assignment is empty, and a worker that has joined is ready without a partition. A moment later
    everybody joins a second time.

    Cause: the leader assigns by what it knows when the group asks it, and does not wait for its first metadata.
    """
    consumer.partitions_for_topic(topic)


def has_joined(consumer: KafkaConsumer) -> bool:
    """Whether a consumer is a member of its group and has been told its partitions.

    Symptom: `group_metadata` says STABLE, and nothing is assigned yet; the next poll is a whole one.

    Cause: the state changes, and the join counts as ended, before the listener is called, by another thread.
    """
    return consumer.group_metadata().state is MemberState.STABLE and consumer._coordinator.told_partitions


class SteadyCoordinator(ConsumerCoordinator):
    """Sees a join through to its end, also where the reason for it goes away.

    Symptom: a member counts as rebalancing for good. It gets no partition, sends no heartbeat and polls in a circle.

    Cause: before each step the client asks whether it must join its group, and it must where a topic has other
    partitions than at the last assignment. The leader notes the new ones as soon as it has assigned them, before the
    broker has confirmed it; where a poll's time ends in between, the next one finds no reason to join and forgets the
    join that it has sent. It takes a broker's restart, which shows partitions piece by piece, or a new partition, and
    one slow answer. Here a join under way is itself a reason to go on joining.

    It also takes what a join has come to, however late.

    Symptom: members join again and again, every few seconds, and some never get their partitions.

    Cause: where the last answer to a join comes between two polls, the next poll takes the finished task for none and
    joins anew. That sends all others into a round more, whose end may fall between two polls again.

    And it claims no partition that it has lost, and sees to it that none belongs to nobody.

    Symptom: the group is stable, and some partitions have no owner, for good. Seen after all brokers had been away.

    Cause: partitions that are to move are given away in a second round, for which their owner asks when it has let go
    of them. kafka-python claims those of the last assignment, also where its session has ended since then: such an
    owner has nothing to let go of, and nobody asks. And in any client an owner may be restarted between the rounds: as
    a static member it is given what the first round has left it, without a round, and nobody asks either. So members
    look now and then whether a stable group has partitions without an owner, and if so twice, they join again.

    And it lets a poll rest while a heartbeat waits for its answer.

    Symptom: behind a slow link a worker polls in a circle, and its memory grows by 25 MB a second.

    Cause: a poll waits for records no longer than until the next heartbeat is due, which is no time at all once one is
    late; and each of its rounds leaves a callback at the fetch that is under way. The heartbeats have a task of their
    own and do not need the poll.
    """

    _join_task: Any
    told_partitions = False
    _next_look = 0.0
    _orphans: frozenset[TopicPartition] = frozenset()

    def group_protocols(self) -> Any:
        """What this member tells the leader, with the partitions that it has now."""
        for assignor in self._assignors.values():
            if isinstance(assignor, StickyPartitionAssignor) and assignor.member_assignment is not None:
                assignor.member_assignment = sorted(self._subscription.assigned_partitions())
        return super().group_protocols()

    def need_rejoin(self) -> bool:
        """Whether a join is to be sent, or one that was sent is to be waited for."""
        return self._join_task is not None or super().need_rejoin()

    async def join_group_async(self, timeout_ms: float | None = None) -> Any:
        """Join, where there is a reason to, or end a join that was sent before."""
        task = self._join_task.task if isinstance(self._join_task, _Finished) else self._join_task
        if task is not None and task.succeeded():
            # In another state the member has left the group since then.
            self._join_task = _Finished(task) if self.state is MemberState.REBALANCING else None
        return await super().join_group_async(timeout_ms)

    async def _on_join_complete_async(self, *assignment: Any) -> None:
        await super()._on_join_complete_async(*assignment)
        self.told_partitions = True

    def time_to_next_poll(self) -> float:
        """For how many seconds a poll may wait for records at most."""
        return max(_REST_S, super().time_to_next_poll())

    async def _send_heartbeat_request(self) -> None:
        await super()._send_heartbeat_request()
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        before, self._orphans = self._orphans, await self._look_for_orphans()
        if before & self._orphans:
            log.warning("partitions %s have no owner: joining again", sorted(p.partition for p in self._orphans))
            self._orphans = frozenset()
            self.request_rejoin()

    async def _look_for_orphans(self) -> frozenset[TopicPartition]:
        """Partitions of our topics that a stable group has given to nobody."""
        try:
            answer = await self._manager.send(
                DescribeGroupsRequest(groups=[self.group_id]), node_id=self.coordinator_id
            )
        except KafkaError:
            return frozenset()  # the heartbeat will tell
        (described,) = answer.groups
        if described.error_code or described.group_state != "Stable":
            return frozenset()
        there = {
            TopicPartition(topic, number)
            for topic in self._subscription.subscription or ()
            for number in self._cluster.partitions_for_topic(topic) or ()
        }
        for member in described.members:
            there.difference_update(ConsumerProtocolAssignment.decode(member.member_assignment).partitions())
        return frozenset(there)


class _Finished:
    """A task that has succeeded, for a caller that would not look at one that is done."""

    is_done = False

    def __init__(self, task: Any) -> None:
        self.add_callback, self.add_errback = task.add_callback, task.add_errback
        self.task = task

    def __await__(self) -> Any:
        return self.task.__await__()


# Answers of a few bytes are read with a small buffer; what fills it is mostly the beginning of much more.
_FIRST_READ, _NEXT_READS = 16 * 1024, 1024 * 1024
_NOTHING_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WideReads:
    """Takes what has come off a socket in few large pieces.

    Symptom: beside a loop that computes, a fetch of 4 MB takes 90 ms to read, and 1 ms like this; 2 us a chunk less.

    Cause: it is read by 4 KiB, a thousand calls. Before each the client's thread may have to wait for the interpreter.
    """

    _sock: Any

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        pieces: list[bytes] = []
        error: Exception | None = None
        while True:
            try:
                piece = self._sock.recv(_NEXT_READS if pieces else _FIRST_READ)
            except _NOTHING_NOW:
                break
            except (OSError, AttributeError) as failure:  # the latter where the socket has been closed meanwhile
                error = KafkaConnectionError(failure)
                break
            if not piece:
                error = KafkaConnectionError("socket disconnected")
                break
            pieces.append(piece)
        return b"".join(pieces), error


class WideTransport(WideReads, KafkaTCPTransport):
    """A connection without TLS."""


class WideTLSTransport(WideReads, KafkaSSLTransport):
    """A connection with TLS."""

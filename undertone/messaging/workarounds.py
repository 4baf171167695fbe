"""Faults of kafka-python that would stop a worker, mended from outside. Written for kafka-python 3.0.12.

Each mend stands here with what is seen without it. `tests/messaging/test_workarounds.py` has two tests for each: that
it helps, and that kafka-python still needs it. The second fails once that has changed: then the mend can go.
"""

import time
from typing import Any, SupportsIndex

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer import group
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch

# An owner lets go of what is to move as soon as it polls; one that is busy with a large batch takes a second or two.
ASK_AGAIN_S = 5.0


def mend() -> None:
    """Let every consumer that this process makes from now on use what is mended."""
    group.ConsumerCoordinator = SteadyCoordinator
    memory_records.DefaultRecordBatch = LenientBatch


def ask_at_once(consumer: KafkaConsumer) -> None:
    """Let a consumer that has just been made look up its first topic without waiting.

    Symptom: its first `assign`, `end_offsets` or `partitions_for_topic` takes 110 ms, 100 of them asleep; a worker
    makes five consumers before it is ready, and a restore two.

    Cause: between two requests for metadata there are 100 ms (`retry_backoff_ms` is not handed on to the part that
    sends them), also between the one that a new client sends to find its brokers, which names no topic, and the first
    that does. Later ones keep their distance.
    """
    consumer._manager.cluster._last_refresh_ms = 0


class SteadyCoordinator(ConsumerCoordinator):
    """Sees a join through to its end, also where the reason for it goes away.

    Symptom: a member counts as rebalancing for good. It gets no partition, sends no heartbeat and polls in a circle.

    Cause: before each step the client asks whether it must join its group, and it must where a topic has other
    partitions than at the last assignment. The leader notes the new ones as soon as it has assigned them, before the
    broker has confirmed it; where a poll's time ends in between, the next one finds no reason to join and forgets the
    join that it has sent. It takes a broker's restart, which shows partitions piece by piece, or a new partition, and
    one slow answer. Here a join under way is itself a reason to go on joining.

    It also claims no partition that it has lost, and asks again where an assignment left some out.

    Symptom: the group is stable, and some partitions belong to nobody, for good.

    Cause: a member tells the leader which partitions are its own, and the leader holds those that are to move back
    until their owner has let go of them. kafka-python tells those of the last assignment, also where its session has
    ended since then: all brokers were away for longer than it. Such an owner has nothing to let go of, so that nobody
    asks for the second round in which the partitions would be given away. The same happens in any client where an
    owner is replaced between the rounds by a restart under its static name. So a leader that has held partitions back
    asks for the next round itself, if nobody has done so after a few seconds.
    """

    _join_task: Any
    _ask_again_at: float | None = None

    def group_protocols(self) -> Any:
        """What this member tells the leader, with the partitions that it has now."""
        for assignor in self._assignors.values():
            if isinstance(assignor, StickyPartitionAssignor) and assignor.member_assignment is not None:
                assignor.member_assignment = sorted(self._subscription.assigned_partitions())
        return super().group_protocols()

    def _perform_assignment(self, *args: Any) -> Any:
        assignments = super()._perform_assignment(*args)
        given = {partition for assignment in assignments.values() for partition in assignment.partitions()}
        topics = self._subscription.group_subscription()
        there = {TopicPartition(topic, n) for topic in topics for n in self._cluster.partitions_for_topic(topic) or ()}
        self._ask_again_at = time.monotonic() + ASK_AGAIN_S if there - given else None
        return assignments

    def need_rejoin(self) -> bool:
        """Whether a join is to be sent, or one that was sent is to be waited for."""
        if self._ask_again_at is not None and self._is_leader and time.monotonic() > self._ask_again_at:
            self._ask_again_at = None
            self.request_rejoin()
        return self._join_task is not None or super().need_rejoin()


class LenientBatch(DefaultRecordBatch):
    """Reads records whose header names are no UTF-8, which any client may write and the broker takes.

    Symptom: `poll` raises CorruptRecordError and, polled again, spins for ever; restarted, it meets the same record.
    One such record would end every worker of its partition. Here the name gets replacement characters, and the record
    goes the way of all others. Strict reading is quicker: only a record that cannot be read so is read once more.
    """

    _buffer: Any

    def _read_msg(self, *args: Any) -> Any:
        try:
            return super()._read_msg(*args)
        except UnicodeDecodeError:
            strict, self._buffer = self._buffer, _LenientBuffer(self._buffer)
            try:
                return super()._read_msg(*args)
            finally:
                self._buffer = strict


class _LenientBuffer(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found: Any = super().__getitem__(key)
        return _LenientBytes(found) if isinstance(key, slice) else found


class _LenientBytes(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)

"""The partitions of this sink. The group's callbacks only take notes; the loop claims and forgets between two polls."""

from collections.abc import Iterable

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition

from undertone.sinks.metrics import SinkMetrics


class Partitions(ConsumerRebalanceListener):
    """Notes what the group assigns and revokes."""

    def __init__(self, consumer: KafkaConsumer, metrics: SinkMetrics) -> None:
        self._consumer = consumer
        self._metrics = metrics
        self._gone: set[TopicPartition] = set()
        self.unclaimed: set[TopicPartition] = set()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Read nothing of a new partition before its position is known."""
        self._metrics.rebalances.labels("assigned").inc()
        for partition in assigned:
            self._consumer.pause(partition)
            # A place to stand: the client would look the position up by itself, where it does not lie.
            self._consumer.seek(partition, 0)
            self.unclaimed.add(partition)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Another sink goes on from what was written; what was only read it reads again."""
        self._metrics.rebalances.labels("revoked").inc()
        self._leave(revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """These belong to another sink already."""
        self._metrics.rebalances.labels("lost").inc()
        self._leave(lost)

    def _leave(self, partitions: Iterable[TopicPartition]) -> None:
        left = set(partitions)
        self.unclaimed -= left
        self._gone |= left

    def take_gone(self) -> list[int]:
        """The partitions that have left since the last call."""
        gone, self._gone = self._gone, set()
        return sorted(partition.partition for partition in gone)

    @property
    def read(self) -> list[TopicPartition]:
        """The partitions that are being read."""
        return sorted(self._consumer.assignment() - self.unclaimed)

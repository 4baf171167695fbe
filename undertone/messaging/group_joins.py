"""Joins that are under way when the reason for them goes away.

kafka-python asks before each step whether it must join its group: it must where a topic has other partitions than at
the last assignment. The leader notes the new ones as soon as it has assigned them, before the broker has confirmed it;
where a poll's time ends in between, the next one finds no reason to join and forgets the join that it has sent. The
member then counts as rebalancing for good: it gets no partition, sends no heartbeat and polls in a circle. It takes a
broker's restart, which shows partitions piece by piece, or a new partition, and one slow answer. Here a join under way
is itself a reason to go on joining.
"""

from typing import Any

from kafka.consumer import group
from kafka.coordinator.consumer import ConsumerCoordinator


def finish_joins() -> None:
    """Let every consumer of this process see a join through to its end."""
    group.ConsumerCoordinator = _SteadyCoordinator


class _SteadyCoordinator(ConsumerCoordinator):
    _join_task: Any

    def need_rejoin(self) -> bool:
        return self._join_task is not None or super().need_rejoin()

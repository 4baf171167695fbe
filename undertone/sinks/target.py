"""What the loop asks of a place where events are kept."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import Rejected
from undertone.sinks.events import StoredEvent
from undertone.storage.store import StoreAway

DeadLetters = list[tuple[ConsumerRecord, Rejected]]


class TargetAway(StoreAway):
    """The target does not answer now. Whether what was under way has arrived, it will tell when it is back."""


class Fenced(Exception):
    """Another process has claimed a partition since: nothing was written."""


@dataclass(frozen=True, slots=True)
class Source:
    """A topic. Its id tells it from one of the same name that was deleted, or lies in another cluster."""

    topic: str
    topic_id: UUID


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is written: at so many events or bytes, or so long after its first event."""

    records: int
    bytes: int
    seconds: float


@dataclass(slots=True)
class Batch:
    """Events in the order of their offsets within each partition, and by partition the position behind them."""

    events: list[StoredEvent] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Written:
    """What has become of a batch: the positions that were reached, and what of it the target did not have."""

    positions: Mapping[int, int]
    repeats: int = 0
    rejected: DeadLetters = field(default_factory=list)


class Target(Protocol):
    """A place where events are kept. Called by one thread at a time."""

    name: str
    limits: Limits
    keeps_positions: bool
    """Whether it keeps the positions with the events; else the consumer group does."""
    drops_repeats: bool
    """Whether it knows an event that comes again."""

    def open(self) -> str:
        """Connect, if it is not connected. Returns an id of the place: processes that share it form one group.

        Raises:
            StoreAway: it does not answer.
            UserError: it will not, for a reason that a person can mend.
        """

    def claim(self, source: Source, partitions: Collection[int]) -> dict[int, int | None]:
        """Take over partitions, so that no earlier owner can write any more: their positions, None where there is none.

        Raises:
            StoreAway: it does not answer.
        """

    def write(self, source: Source, batch: Batch, stopping: Callable[[], bool]) -> Written:
        """Write a batch of partitions that were claimed, and their positions: all of it or nothing.

        One that does not keep the positions may end early where it is to stop, and says how far it has come.

        Raises:
            StoreAway: it does not answer; perhaps all was written.
            Fenced: another process has claimed one of the partitions.
        """

    def close(self) -> None:
        """Let go of the connection; `open` makes a new one."""

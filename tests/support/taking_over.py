"""Calls of which a worker that is killed has saved no state since its first transaction, and what they come to."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.partitioner import murmur2
from kafka.structs import OffsetAndMetadata

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.installation import Installation, wait_for
from tests.support.service import value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import group_consumer
from worker.fencing import group_id
from worker.service import Worker
from worker.session import Session

# Longer than any test: after its first transaction no stream is saved, unless it must be.
NEVER_S = 60
PARTITIONS = 4


def call(name: str, **options: Any) -> list[AudioChunk]:
    """The customer's side of the sample call, in chunks of half a second."""
    samples, rate = customer()
    return cut(samples, rate, rate // 2, call_id=name, **options)


def neighbours(count: int) -> list[list[AudioChunk]]:
    """Calls of one partition."""
    names = (f"call-{number}" for number in range(1000))
    found = (name for name in names if (murmur2(f"{name}/customer".encode()) & 0x7FFFFFFF) % PARTITIONS == 0)
    return [call(next(found)) for _ in range(count)]


def alone(chunks: list[AudioChunk]) -> list[str]:
    """The events of a call that nothing disturbs, as lines."""
    return lines(hear(Engine(Model.load()), chunks))


def of(events: list[EventEnvelope], chunks: list[AudioChunk]) -> list[str]:
    """Those of the stream of `chunks` among the events, as lines."""
    return lines(event for event in events if event.subject == chunks[0].stream)


@contextmanager
def killed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, chunks: int, **options: Any
) -> Iterator[Worker]:
    """A worker that ends once it has heard so many chunks, as if it were killed: it saves nothing more."""
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", lambda session: None)
        with working(installation, state_seconds=NEVER_S, **options) as worker:
            yield worker
            wait_for(lambda: value(worker, "undertone_chunks_total") == chunks, "all chunks to be heard")


def committed(installation: Installation, partition: int = 0) -> OffsetAndMetadata | None:
    """What the workers' group has committed of a partition."""
    with closing(group_consumer(installation.settings, group_id(installation.settings), "a look")) as consumer:
        place = TopicPartition(installation.topics.call_audio.name, partition)
        found: OffsetAndMetadata | None = consumer.committed(place, metadata=True)
        return found

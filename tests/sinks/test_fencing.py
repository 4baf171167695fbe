"""Whoever claims a partition has it: no earlier owner can write any more, and the positions go with the rows."""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.events import EventEnvelope
from tests.sinks.carrying import call_events
from undertone.sinks.events import stored_event
from undertone.sinks.parquet import Parquet
from undertone.sinks.postgres import Postgres
from undertone.sinks.target import Batch, Fenced, Source, Target, Written

SOURCE = Source("emotion-events", uuid4())
EVENTS = call_events("call", ["calm", "angry"])


def record(event: EventEnvelope, offset: int, partition: int = 0) -> ConsumerRecord:
    fields = {"topic": SOURCE.topic, "partition": partition, "offset": offset, "headers": []}
    return ConsumerRecord(
        **dict.fromkeys(ConsumerRecord._fields)
        | fields
        | {"timestamp": 0, "key": event.subject.encode(), "value": event.model_dump_json().encode()}
    )


def write(target: Target, events: Sequence[EventEnvelope], first: int, source: Source = SOURCE) -> Written:
    """Write events from an offset on, and the position behind them."""
    stored = [stored_event(record(event, first + n)) for n, event in enumerate(events)]
    return target.write(source, Batch(stored, {0: first + len(events)}), lambda: False)


@pytest.fixture(params=["postgres", "file", "memory"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Target, Target]:
    """Two sinks at the same place; `memory` stands for the object stores."""
    if request.param == "postgres":
        dsn = request.getfixturevalue("postgres").create_database()
        return Postgres(dsn), Postgres(dsn)
    url = f"file://{tmp_path}/events" if request.param == "file" else f"memory://{uuid4().hex}"
    return Parquet(url), Parquet(url)


def test_an_earlier_owner_cannot_write(pair: tuple[Target, Target]) -> None:
    zombie, owner = pair
    assert zombie.open() == owner.open()
    assert zombie.claim(SOURCE, [0, 1]) == {0: None, 1: None}
    write(zombie, EVENTS[:2], 0)
    assert owner.claim(SOURCE, [0]) == {0: 2}
    with pytest.raises(Fenced):
        write(zombie, EVENTS[2:3], 2)
    assert write(owner, EVENTS[2:], 2).positions == {0: len(EVENTS)}
    assert zombie.claim(SOURCE, [0]) == {0: len(EVENTS)}
    with pytest.raises(Fenced):
        write(owner, EVENTS, 0)
    for target in pair:
        target.close()


def test_a_topic_that_was_created_again_is_another_one(pair: tuple[Target, Target]) -> None:
    target, _ = pair
    target.open()
    target.claim(SOURCE, [0])
    write(target, EVENTS, 0)
    again = Source(SOURCE.topic, uuid4())
    assert target.claim(again, [0]) == {0: None}
    repeated = write(target, EVENTS, 0, again)
    assert repeated.repeats == (len(EVENTS) if target.drops_repeats else 0)
    target.close()

"""One trainer at a time; what it publishes is there as a whole, and not at all from one that has lost its place."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.errors import UserError
from schemas.topics import Topics
from trainer.rebuild.lease import Lease, LeaseLostError
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

SESSION_S = 20  # a busy machine may hold heartbeats back for long
RECORDS = [(b"alias/champion", b"x"), (b"x", b"a bundle")]


@pytest.fixture
def holders(kafka_settings: KafkaSettings, topics: Topics) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def written(settings: KafkaSettings, topics: Topics) -> list[ConsumerRecord]:
    with closing(reader(settings)) as client:
        return list(read_to_end(settings, client, partitions_of(client, topics.models.name)))


def never() -> bool:
    return False


@contextmanager
def at_work(lease: Lease) -> Iterator[None]:
    """A trainer at work elsewhere, which must not lose its lease meanwhile."""
    done, lost = threading.Event(), []

    def work() -> None:
        while not done.wait(0.2):
            try:
                lease.keep()
            except LeaseLostError as error:
                lost.append(error)
                return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(90)
    assert not lost


def test_a_second_trainer_waits_for_the_first(
    kafka_settings: KafkaSettings, topics: Topics, holders: ExitStack
) -> None:
    first = holders.enter_context(Lease(kafka_settings, SESSION_S))
    assert first.take(60, never)
    second = holders.enter_context(Lease(kafka_settings, SESSION_S))
    began = time.monotonic()
    with at_work(first):
        assert not second.take(60, lambda: time.monotonic() - began > 8)
        with pytest.raises(UserError, match="one rebuild at a time"):
            second.take(0, never)
    first.close()
    assert second.take(60, never)


def test_what_is_written_is_there_as_a_whole(kafka_settings: KafkaSettings, topics: Topics, holders: ExitStack) -> None:
    lease = holders.enter_context(Lease(kafka_settings, SESSION_S))
    assert lease.take(60, never)
    lease.write(RECORDS)
    lease.write(RECORDS[1:])
    assert [(record.key, record.value) for record in written(kafka_settings, topics)] == [*RECORDS, RECORDS[1]]
    with pytest.raises(UserError, match="did not take"):
        lease.write([RECORDS[0], (b"x", bytes(17 * 1024 * 1024))])
    assert len(written(kafka_settings, topics)) == 3


def test_a_trainer_that_comes_to_wait_does_not_disturb_who_publishes(
    kafka_settings: KafkaSettings, topics: Topics, holders: ExitStack
) -> None:
    lease = holders.enter_context(Lease(kafka_settings, SESSION_S))
    assert lease.take(60, never)
    lease.write(RECORDS)  # at once: the group has hardly been joined
    other = holders.enter_context(Lease(kafka_settings, SESSION_S))
    stopping = threading.Event()
    waiting = threading.Thread(target=other.take, args=[120, stopping.is_set])
    waiting.start()
    try:
        for _ in range(5):
            lease.write(RECORDS)
    finally:
        stopping.set()
        waiting.join(60)
    assert len(written(kafka_settings, topics)) == 6 * len(RECORDS)


def test_who_has_lost_the_lease_cannot_write(
    kafka_settings: KafkaSettings, topics: Topics, holders: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = holders.enter_context(Lease(kafka_settings, SESSION_S))
    assert zombie.take(60, never)
    membership = zombie._consumer.group_metadata()
    zombie.close()
    heir = holders.enter_context(Lease(kafka_settings, SESSION_S))
    assert heir.take(60, never)
    # It hung, and knows nothing of that: it believes what it knew.
    monkeypatch.setattr(zombie, "keep", lambda: None)
    monkeypatch.setattr(zombie._consumer, "group_metadata", lambda: membership)
    with pytest.raises(LeaseLostError, match="did not take"):
        zombie.write(RECORDS)
    assert not written(kafka_settings, topics)
    heir.write(RECORDS)
    assert len(written(kafka_settings, topics)) == 2

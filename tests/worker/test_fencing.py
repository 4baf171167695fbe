"""What a worker that is gone has left open is ended by those who come after it; members are left alone."""

from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.topics import Topics
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import group_consumer, transactional_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import close_at_once
from worker.fencing import Fencing, group_id, transactional_id
from worker.metrics import WorkerMetrics

pytestmark = pytest.mark.slow

# Longer than anybody here waits: nothing goes on because the broker gives a transaction up.
_NEVER_S = 800


def test_an_open_transaction_of_the_dead_is_not_waited_for(installation: Installation) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 5)
    expected = lines(hear(Engine(Model.load()), chunks))
    slow: dict[str, Any] = {"batch_records": 3, "batch_ms": 20, "transaction_timeout_s": _NEVER_S}
    installation.send(chunks)
    dies = ("-m", "tests.support.crashing_worker", "after", "send_offsets_to_transaction", "5")
    assert installation.worker("w1", dies, **slow).process.wait(PATIENCE_S) == 9
    other = installation.worker("w2", **slow).ready()
    assert lines(installation.events(len(expected))) == expected
    assert "worker w1 is gone: the transaction that it left open is aborted" in other.output
    assert other.stop() == 0


def opened(settings: KafkaSettings, topics: Topics, name: str) -> KafkaProducer:
    """A producer with a transaction that has begun in Kafka."""
    producer = transactional_producer(settings, name, transaction_timeout_ms=_NEVER_S * 1000)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(topics.dead_letters.name, b"open").get(60)
    return producer


def test_members_and_strangers_are_left_alone(kafka_settings: KafkaSettings, topics: Topics) -> None:
    metrics = WorkerMetrics()
    fencing = Fencing(kafka_settings, _NEVER_S, metrics)
    dead, live = (transactional_id(kafka_settings, name) for name in ("dead", "live"))
    with closing(group_consumer(kafka_settings, group_id(kafka_settings), "live")) as member:
        member.subscribe([topics.call_audio.name])
        wait_for(lambda: member.poll(100) is not None and bool(member.assignment()), "the member to have joined")
        producers = {name: opened(kafka_settings, topics, name) for name in (dead, live, f"another.{dead}")}
        try:
            fencing.request()
            value = metrics.registry.get_sample_value
            wait_for(lambda: value("undertone_transactions_total", {"outcome": "fenced"}) == 1, "the dead to be fenced")
            with pytest.raises(KafkaError):
                producers[dead].commit_transaction()
            producers[live].commit_transaction()
            producers[f"another.{dead}"].commit_transaction()
            fencing.request()  # too soon: nothing happens
            assert value("undertone_transactions_total", {"outcome": "fenced"}) == 1
        finally:
            for producer in producers.values():
                close_at_once(producer, 10)

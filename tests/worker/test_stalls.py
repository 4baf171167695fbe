"""A partition that cannot be read on: it is seen, told and tried again, and in the end a supervisor gets its turn."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import KafkaProducer

from schemas.audio import AudioChunk
from schemas.errors import UserError
from tests.support.installation import Installation, wait_for
from tests.support.service import value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import transactional_producer
from worker.service import Worker
from worker.settings import WorkerSettings


@pytest.fixture
def chunks() -> list[AudioChunk]:
    samples, rate = customer()
    return cut(samples, rate, rate // 2)


@contextmanager
def held_back(installation: Installation, chunks: list[AudioChunk]) -> Iterator[tuple[KafkaProducer, int]]:
    """Chunks behind a transaction that stays open. Yields its producer, and the partition."""
    topic, first = installation.topics.call_audio.name, chunks[0]
    client = transactional_producer(installation.settings, "a-gateway", transaction_timeout_ms=600_000)
    with closing(client) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        place = producer.send(topic, key=first.stream.encode(), value=first.audio, headers=first.headers()).get(60)
        installation.send(chunks)
        yield producer, place.partition


@pytest.mark.slow
def test_a_stuck_partition_is_told_and_tried_again(installation: Installation, chunks: list[AudioChunk]) -> None:
    alone = lines(hear(Engine(Model.load()), chunks))
    with (
        working(installation, stall_timeout_s=4) as worker,
        held_back(installation, chunks) as (producer, number),
    ):
        partition = str(number)
        wait_for(lambda: f"partition {number}" in worker.health.waits_for, "the partition's name in the health")
        assert not worker.health.ready and worker.health.alive
        wait_for(lambda: value(worker, "undertone_stalled_seconds", partition=partition) >= 4, "how long it stands")
        wait_for(lambda: value(worker, "undertone_errors_total", stage="stall", error_type="Stalled") > 0, "a new try")
        before = value(worker, "undertone_lag_records", partition=partition)
        assert before >= len(chunks), "the lag is that of Kafka's own end, not of the last fetch"
        installation.send(chunks[:1])
        wait_for(lambda: value(worker, "undertone_lag_records", partition=partition) > before, "the lag to go on")
        wait_for(lambda: value(worker, "undertone_lag_seconds", partition=partition) >= 4, "the age of what waits")
        producer.abort_transaction()
        assert lines(installation.events(len(alone))) == alone
        wait_for(lambda: worker.health.ready, "readiness")
        wait_for(lambda: value(worker, "undertone_lag_records", partition=partition) == 0, "no lag")
        wait_for(lambda: value(worker, "undertone_lag_seconds", partition=partition) == 0, "nothing that waits")


@pytest.mark.slow
def test_a_worker_that_does_not_get_on_ends_for_its_supervisor(
    installation: Installation, chunks: list[AudioChunk]
) -> None:
    settings = WorkerSettings.load(instance_id="here", session_timeout_s=4, stall_timeout_s=3, stall_exit_s=12)
    with held_back(installation, chunks), pytest.raises(UserError, match="not ready for 12 s though Kafka answers"):
        Worker(installation.settings, settings).run(lambda _: None)

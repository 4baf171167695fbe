"""What a worker was assigned is read only once its state is restored whole."""

import threading
from contextlib import closing

import pytest

from schemas.topics import Topics
from tests.support.installation import wait_for
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import group_consumer, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from worker.assignment import Assignment
from worker.changelog import ChangelogReader
from worker.metrics import WorkerMetrics
from worker.restorer import Restorer


def test_a_restore_that_is_stopped_resumes_nothing(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, poll = threading.Event(), ChangelogReader.poll
    polled = threading.Event()

    def stopped(reader: ChangelogReader) -> object:
        polled.set()
        return poll(reader) if go.wait(0.05) else []

    monkeypatch.setattr(ChangelogReader, "poll", stopped)
    with closing(idempotent_producer(kafka_settings)) as producer:
        producer.send(topics.worker_state.name, key=b"call/customer", value=b"a state", partition=0).get(timeout=60)

    metrics = WorkerMetrics()
    with (
        closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}workers")) as consumer,
        closing(Restorer(kafka_settings, topics, metrics, lambda: None, lambda version: None, set)) as restorer,
    ):
        assignment = Assignment(consumer, Engine(Model.load()), restorer, lambda: None, metrics)
        consumer.subscribe([topics.call_audio.name], listener=assignment)

        def go_on(restored: bool) -> bool:
            consumer.poll(50)
            assignment.restore_assigned()
            return bool(consumer.assignment()) and polled.is_set() and assignment.restored == restored

        wait_for(lambda: go_on(restored=False), "the restore to be on its way")
        assert consumer.paused() == consumer.assignment()
        assert not assignment.positions()
        go.set()
        wait_for(lambda: go_on(restored=True), "the partitions to be restored")
        assert not consumer.paused()
        assert assignment.positions().keys() == consumer.assignment()

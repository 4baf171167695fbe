"""One membership and its clients: what is left of them when it ends."""

import os
import signal

import pytest

from schemas.topics import Topics
from undertone.devbroker.broker import local_broker
from undertone.inference.model import Model
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import PoisonPills
from worker.progress import Progress
from worker.session import Session
from worker.settings import WorkerSettings


@pytest.mark.slow
def test_a_session_that_ends_without_kafka_leaves_no_thread_behind() -> None:
    topics, metrics = Topics(), WorkerMetrics()
    with local_broker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with admin(kafka) as client:
            ensure_topics(client, topics, partitions=2)
        settings = WorkerSettings.load(instance_id="here")
        models = ModelFeed(Model.load(), metrics)
        session = Session(kafka, settings, models, PoisonPills(), Progress(metrics), metrics, lambda: False)
        producer = session._producer
        producer.init_transactions()
        producer.begin_transaction()
        producer.partitions_for(topics.worker_state.name)
        os.killpg(broker.process.pid, signal.SIGSTOP)
        try:
            producer.send(topics.worker_state.name, key=b"call/customer", value=b"state", partition=0)
            session.close()
        finally:
            os.killpg(broker.process.pid, signal.SIGCONT)
        assert not producer._sender.is_alive()

"""What a worker was assigned is read only once its state is restored whole."""

from contextlib import closing

from schemas.topics import Topics
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import group_consumer, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from worker.assignment import Assignment
from worker.changelog import States, read_states
from worker.metrics import WorkerMetrics


def test_a_restore_that_is_stopped_resumes_nothing(kafka_settings: KafkaSettings, topics: Topics) -> None:
    stop = [True]
    with closing(idempotent_producer(kafka_settings)) as producer:
        producer.send(topics.worker_state.name, key=b"call/customer", value=b"a state", partition=0).get(timeout=60)

    def read(partitions: list[int]) -> States:
        return read_states(kafka_settings, topics.worker_state.name, partitions, stopping=lambda: stop[0])

    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}workers")) as consumer:
        assignment = Assignment(consumer, Engine(Model.load()), read, lambda version: None, WorkerMetrics())
        consumer.subscribe([topics.call_audio.name], listener=assignment)
        while not consumer.assignment():
            consumer.poll(200)
        assignment.restore_assigned()
        assert consumer.paused() == consumer.assignment()
        assert not assignment.positions()
        stop[0] = False
        assignment.restore_assigned()
        assert not consumer.paused()
        assert assignment.positions().keys() == consumer.assignment()

"""What the trainer compares a candidate with: the bundle that workers run, whatever else is on `models`."""

from contextlib import closing

from schemas.topics import Topics
from tests.support.crafted_networks import calls_itself, crafted, nothing
from trainer.packaging.publish import running_model
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings


def test_a_bundle_that_crashes_its_reader_is_passed_over(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(idempotent_producer(kafka_settings)) as producer:
        for version, value in (
            ("good", crafted(nothing, "good")),
            ("damaged", b"no bundle"),
            ("crafted", crafted(calls_itself)),
        ):
            producer.send(topics.models.name, key=version.encode(), value=value).get(60)
    assert running_model(kafka_settings).card.version == "good"

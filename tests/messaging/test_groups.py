"""Membership of a group, on a real Kafka."""

import time
from contextlib import closing

import pytest
from kafka.structs import MemberState

from schemas.topics import Topics
from undertone.messaging.clients import admin, group_consumer
from undertone.messaging.settings import KafkaSettings

pytestmark = pytest.mark.slow


def test_a_join_is_finished_however_short_the_polls_are(kafka_settings: KafkaSettings, topics: Topics) -> None:
    topic = topics.call_audio.name
    with closing(group_consumer(kafka_settings, "members", metadata_max_age_ms=200)) as consumer:
        consumer.subscribe([topic])
        for partitions in (4, 5, 6, 7, 8):
            if partitions > 4:
                with admin(kafka_settings) as client:
                    client.create_partitions({topic: partitions})
            end = time.monotonic() + 30
            # Shorter than any answer of the broker: every step of the join falls between two polls.
            while len(consumer.assignment()) != partitions or consumer.group_metadata().state != MemberState.STABLE:
                assert time.monotonic() < end, (consumer.group_metadata(), consumer.assignment())
                consumer.poll(timeout_ms=1)

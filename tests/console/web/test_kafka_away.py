"""A Kafka that is away: the page says so, and afterwards nothing is missing."""

import os
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.console.web.listening import listening, until
from tests.support.console import ConsoleProcess, Speaker, publish
from undertone.devbroker.broker import free_port, local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

pytestmark = [pytest.mark.slow, pytest.mark.kafka]


def test_the_page_hears_that_kafka_is_away_and_then_what_came_since(tmp_path: Path) -> None:
    port = free_port(0)
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_s=60)
    topics, speaker = Topics(), Speaker("call-1")
    environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    topic = topics.emotion_events.name
    with local_broker(data_dir=tmp_path / "kafka", port=port):
        with admin(settings) as client:
            ensure_topics(client, topics, partitions=2)
        console = ConsoleProcess(environment, tmp_path / "console.log")
        url = console.url
        publish(settings, topic, [speaker.event("segment", 0, 1)])
        with listening(url) as heard:
            until(heard, 1)
    try:
        with listening(url) as heard:
            assert any("no answer" in one.away for one in heard)
            with local_broker(data_dir=tmp_path / "kafka", port=port):
                publish(settings, topic, [speaker.event("segment", 1, 2)])
                assert until(heard, 2).events == [("call-1", 1.0), ("call-1", 2.0)]
                assert next(one for one in heard if not one.away)
        assert console.stop() == 0
    finally:
        console.process.kill()
        console.process.wait()

"""Until when a topic holds a call, from how it is configured on the broker."""

from datetime import UTC, datetime, timedelta

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.topics import Topics
from tests.support.installation import wait_for
from undertone.erasure.kept import kept
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, SIX_MINUTES = timedelta(hours=1), timedelta(minutes=6)


def test_it_is_what_retention_segments_and_compaction_leave(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with admin(kafka_settings) as client:
        until = {entry.topic: entry.until for entry in kept(client, topics, NOW)}
        assert until == {
            topics.call_audio.name: NOW + 25 * HOUR + SIX_MINUTES,
            topics.emotion_events.name: NOW + 8 * 24 * HOUR + SIX_MINUTES,
            topics.emotion_labels.name: None,
            # An hour to be cleaned, ten minutes of a segment, and a day for the tombstone.
            topics.worker_state.name: NOW + 25 * HOUR + timedelta(minutes=10) + SIX_MINUTES,
            topics.dead_letters.name: NOW + 25 * HOUR + SIX_MINUTES,
        }
        longer = ConfigResource(ConfigResourceType.TOPIC, topics.call_audio.name, {"retention.ms": "-1"})
        client.alter_configs([longer])
        wait_for(lambda: kept(client, topics, NOW)[0].until is None, "the other retention")
        assert kept(client, topics, NOW)[0].why.startswith("retention.ms without end")


@pytest.mark.parametrize("name", ["call_audio", "dead_letters"])
def test_sound_is_gone_an_hour_after_its_retention(name: str) -> None:
    assert getattr(Topics(), name).kafka_config["segment.ms"] == "3600000"

"""Events go on after kill -9 of a worker, and a rolling restart of static members takes nothing from the others."""

from contextlib import closing
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.chaos.recovery import PARTITIONS, rolling_restart, takeover
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.saving import MOST_UNSAVED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def settings(kafka_settings: KafkaSettings) -> KafkaSettings:
    with closing(admin(kafka_settings)) as client:
        ensure_topics(client, Topics(kafka_settings.topic_prefix), partitions=PARTITIONS)
    return kafka_settings


def test_events_go_on_after_kill_nine(settings: KafkaSettings, tmp_path: Path) -> None:
    found = takeover(settings, tmp_path, streams=200, session_timeout_s=6, per_second=100)
    assert found.streams > 50
    # The bound is the session and 3 s, which `python -m tests.chaos.recovery` holds on a machine of its own.
    assert found.last_partition_s < 60
    assert found.heard_again <= MOST_UNSAVED


def test_a_rolling_restart_takes_nothing_from_the_others(settings: KafkaSettings, tmp_path: Path) -> None:
    assert rolling_restart(settings, tmp_path) == {"revoked": 0, "lost": 0}

"""A whole installation for each test of the worker."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.support.installation import Installation
from undertone.messaging.settings import KafkaSettings


@pytest.fixture
def installation(
    kafka_settings: KafkaSettings, kafka_environment: Mapping[str, str], topics: Topics, tmp_path: Path
) -> Iterator[Installation]:
    it = Installation(kafka_settings, kafka_environment, topics, tmp_path)
    yield it
    it.close()

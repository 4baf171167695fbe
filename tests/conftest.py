"""A real Kafka for the tests that need one, and topics of their own for each of them."""

import os
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, settings

from schemas.errors import UserError
from schemas.topics import Topics
from tests.support.installation import Installation
from undertone.devbroker.broker import free_port, local_broker, node_properties
from undertone.devbroker.runtime import IMAGE, container_environment
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

# The tests' brokers do little and most live for seconds: the JVM's second compiler would cost them half of their time.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# A machine that is busy with something else is slow at times, and no test is about time.
settings.register_profile("undertone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("undertone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever uses the broker carries the marker `kafka`; where processes share the files, the longest come first."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)
    if hasattr(config, "workerinput"):  # in a process of pytest-xdist
        seconds: dict[Path, float] = defaultdict(float)
        for item in items:
            seconds[item.path] += _seconds(item)
        items.sort(key=lambda item: -seconds[item.path])


def _seconds(item: pytest.Item) -> float:
    """About how long a test takes: enough to know which files are long."""
    if item.get_closest_marker("slow"):
        return 12
    return 2 if item.get_closest_marker("kafka") else 0.1


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The bootstrap servers of one real Kafka, shared by all tests. No Kafka is a failure, never a skip."""
    choices = {"local": _from_maven, "testcontainers": _from_testcontainers}
    choice = os.environ.get("UNDERTONE_TEST_KAFKA") or "local"
    if choice not in choices:
        pytest.fail(f"UNDERTONE_TEST_KAFKA={choice}: must be one of {', '.join(choices)}", pytrace=False)
    try:
        with choices[choice]() as bootstrap_servers:
            yield bootstrap_servers
    except UserError as error:
        pytest.fail(f"the tests on Kafka need a Kafka: {error}", pytrace=False)


@contextmanager
def _from_maven() -> Iterator[str]:
    with local_broker(say=print) as broker:
        yield broker.bootstrap_servers


@contextmanager
def _from_testcontainers() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  it talks to Docker when imported

    # The port that clients are told must be known before the container starts, so Docker may not choose it.
    port = free_port(0)
    container = DockerContainer(IMAGE)
    # Not with_bind_ports, which would publish it on all addresses.
    container.ports[f"{port}/tcp"] = cast(int, ("127.0.0.1", port))  # its type knows only a port
    for name, value in container_environment(node_properties(port, free_port(0))).items():
        container.with_env(name, value)
    with container:
        settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_s=90)
        admin(settings).close()
        yield settings.bootstrap_servers


@pytest.fixture
def kafka_settings(kafka: str) -> KafkaSettings:
    """Settings with a prefix of the test's own: its topics, groups and transactional ids meet no other's."""
    # A broker that is there may take longer than the 8 s of people who wait: on a machine that does much else, 18 s.
    return KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"t-{uuid.uuid4().hex[:8]}.", connect_timeout_s=60)


@pytest.fixture
def kafka_environment(kafka_settings: KafkaSettings) -> dict[str, str]:
    """The environment for a subprocess that is to use `kafka_settings`."""
    return os.environ | {
        "UNDERTONE_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }


@pytest.fixture
def topics(kafka_settings: KafkaSettings) -> Topics:
    """All topics, created: four partitions for the streams."""
    names = Topics(kafka_settings.topic_prefix)
    with admin(kafka_settings) as client:
        ensure_topics(client, names, partitions=4)
    return names


@pytest.fixture
def installation(
    kafka_settings: KafkaSettings, kafka_environment: Mapping[str, str], topics: Topics, tmp_path: Path
) -> Iterator[Installation]:
    """Workers of the test's own, and readers of what they wrote."""
    it = Installation(kafka_settings, kafka_environment, topics, tmp_path)
    yield it
    it.close()

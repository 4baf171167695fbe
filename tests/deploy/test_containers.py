"""The Dockerfile and the Compose file, run for real: a replayed call becomes events that this machine can read.

Skipped, with the reason, where there is no Docker or its base images cannot be had.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from schemas.topics import Topics
from tests.support.console import status
from tests.support.gateway import AudioSocketClient
from tests.support.installation import wait_for
from tests.support.paths import ROOT
from undertone.devbroker.broker import free_port
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

BASE_IMAGES = ("python:3.11-slim-bookworm", "apache/kafka:4.3.0", "prom/prometheus:v3.5.0")
BUILT = ("topics", "worker", "producer", "gateway", "console")
# The build uses this machine's network as it is: behind a proxy that only the host knows, it works too.
OVERRIDE = "services:\n" + "".join(f"  {name}: {{build: {{network: host}}}}\n" for name in BUILT)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _docker(*arguments: str, check: bool = True, timeout: float = 120) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=timeout)
    if check and done.returncode:
        pytest.fail(f"docker {' '.join(arguments)}: {done.stderr[-2000:]}", pytrace=False)
    return done.stdout if done.returncode == 0 else ""


def _why_not() -> str | None:
    try:
        if not _docker("version", check=False) or not _docker("compose", "version", check=False):
            return "no Docker engine with Compose answers"
    except FileNotFoundError:
        return "Docker is not installed"
    for image in BASE_IMAGES:
        if not _docker("image", "inspect", image, check=False) and not _docker("pull", image, check=False, timeout=600):
            return f"{image} can neither be found nor pulled"
    return None


class Stack:
    """The Compose project, on ports of its own."""

    def __init__(self, override: Path) -> None:
        self.kafka_port, self.prometheus_port = free_port(0), free_port(0)
        self.audiosocket_port, self.console_port = free_port(0), free_port(0)
        self._project = f"undertone-test-{os.getpid()}"
        self._files = ["--file", str(ROOT / "docker-compose.yml"), "--file", str(override)]

    def compose(self, *arguments: str, timeout: float = 120) -> str:
        """Run `docker compose` on the project."""
        return _docker("compose", "--project-name", self._project, *self._files, *arguments, timeout=timeout)

    def targets(self, job: str) -> list[str]:
        """The health of each process of a job as Prometheus sees it."""
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/targets"
        with urllib.request.urlopen(url, timeout=10) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        return [target["health"] for target in targets if target["labels"]["job"] == job]


@pytest.fixture(scope="module")
def docker() -> None:
    """Docker and the base images, or the test is skipped with the reason."""
    if reason := _why_not():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def stack(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up, with two workers; gone at the end, volumes included."""
    override = tmp_path_factory.mktemp("compose") / "override.yml"
    override.write_text(OVERRIDE)
    stack = Stack(override)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KAFKA_HOST_PORT", str(stack.kafka_port))
        environment.setenv("PROMETHEUS_HOST_PORT", str(stack.prometheus_port))
        environment.setenv("AUDIOSOCKET_HOST_PORT", str(stack.audiosocket_port))
        environment.setenv("WEBSOCKET_HOST_PORT", str(free_port(0)))
        environment.setenv("UNDERTONE_GATEWAY_TOKENS", "sesame")
        environment.setenv("CONSOLE_HOST_PORT", str(stack.console_port))
        environment.setenv("UNDERTONE_CONSOLE_TOKEN", "sesame")
        stack.compose("--profile", "gateway", "--profile", "console", "build", timeout=1200)
        try:
            stack.compose("up", "--detach", "--no-build", "--scale", "worker=2", timeout=600)
            yield stack
        finally:
            stack.compose("--profile", "gateway", "--profile", "console", "down", "--volumes", "--timeout", "20")


def test_the_replayed_call_becomes_events(stack: Stack) -> None:
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{stack.kafka_port}")
    seen: list[dict[str, object]] = []
    deadline = time.monotonic() + 180
    with reader(settings, auto_offset_reset="earliest") as consumer:
        consumer.subscribe([Topics().emotion_events.name])
        while not any(event["type"] == "summary" for event in seen):
            assert time.monotonic() < deadline, f"no summary among {len(seen)} events: {stack.compose('logs')[-3000:]}"
            for records in consumer.poll(500).values():
                seen += [json.loads(record.value)["data"] for record in records]
    assert {"update", "segment"} <= {event["type"] for event in seen}
    assert {event["channel"] for event in seen} == {"customer"}, "agents are analysed only when asked"


def test_prometheus_scrapes_every_worker(stack: Stack) -> None:
    wait_for(lambda: stack.targets("worker") == ["up", "up"], "two workers", 60, lambda: str(stack.targets("worker")))


def test_a_gateway_takes_calls_where_it_is_asked_for(stack: Stack) -> None:
    assert not stack.compose("ps", "--quiet", "--all", "gateway").strip()
    stack.compose("--profile", "gateway", "up", "--detach", "--no-build", "gateway", timeout=300)
    wait_for(lambda: "ready audiosocket" in stack.compose("logs", "gateway"), "the gateway")
    client = AudioSocketClient(("127.0.0.1", stack.audiosocket_port))
    client.speak(np.zeros(8_000, np.int16), 8_000)
    client.end()
    wait_for(lambda: stack.targets("gateway") == ["up"], "its metrics", 60, lambda: str(stack.targets("gateway")))
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{stack.kafka_port}")
    with reader(settings, auto_offset_reset="earliest") as consumer:
        partitions = partitions_of(consumer, Topics().call_audio.name)
        streams = {record.key.decode() for record in read_to_end(settings, consumer, partitions)}
    assert f"{client.call}/customer" in streams


def test_a_console_shows_events_where_it_is_asked_for(stack: Stack) -> None:
    assert not stack.compose("ps", "--quiet", "--all", "console").strip()
    stack.compose("--profile", "console", "up", "--detach", "--no-build", "console", timeout=300)
    wait_for(lambda: "ready http://" in stack.compose("logs", "console"), "the console")
    url = f"http://127.0.0.1:{stack.console_port}"
    assert status(f"{url}/api/events") == 401
    assert status(f"{url}/api/events", authorization="Bearer sesame") == 200
    wait_for(lambda: stack.targets("console") == ["up"], "its metrics", 60, lambda: str(stack.targets("console")))


def test_every_published_port_is_on_loopback(stack: Stack) -> None:
    for container in stack.compose("ps", "--quiet").split():
        for bindings in json.loads(_docker("inspect", container))[0]["HostConfig"]["PortBindings"].values():
            assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"]


def test_the_workers_image_is_small_in_what_it_can_do(stack: Stack) -> None:
    probe = """
import importlib.util, os, shutil
assert os.getuid() != 0, "runs as root"
for name in ("tensorflow", "librosa", "numba", "sklearn", "plotly", "pip", "setuptools"):
    assert importlib.util.find_spec(name) is None, f"holds {name}"
assert not [tool for tool in ("cc", "gcc", "c++", "clang", "make") if shutil.which(tool)], "holds a compiler"
assert not os.access(os.path.dirname(os.__file__), os.W_OK), "its programs can be changed"
"""
    stack.compose("exec", "--no-TTY", "worker", "python", "-c", probe)


@pytest.mark.parametrize("image", ["undertone-worker", "undertone-producer"])
def test_an_image_is_at_most_450_mb(stack: Stack, image: str) -> None:
    assert int(_docker("image", "inspect", "--format", "{{.Size}}", image)) <= 450e6


def test_the_tests_can_use_testcontainers(docker: None) -> None:
    # Ryuk, which removes what a dead test run leaves, is one more image to pull; here the fixture ends by itself.
    environment = os.environ | {"UNDERTONE_TEST_KAFKA": "testcontainers", "TESTCONTAINERS_RYUK_DISABLED": "true"}
    test = "tests/messaging/test_topics.py::test_a_transaction_is_seen_whole_or_not_at_all"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", test],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout

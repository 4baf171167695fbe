"""Exactly once: whatever happens to workers, a read_committed reader sees the engine's events, once each."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.support.installation import PATIENCE_S, SESSION_TIMEOUT_S, Installation, interleave, wait_for
from tests.support.streams import customer, cut, hear, lines
from undertone.devbroker.broker import local_broker
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

pytestmark = pytest.mark.slow

# Few records a transaction: the call is then hundreds of them, and a kill falls into its middle.
SLOW: dict[str, Any] = {"batch_records": 3, "batch_ms": 20}
STREAMS = 4


def calls(chunk_ms: int = 200) -> list[list[AudioChunk]]:
    samples, rate = customer()
    return [cut(samples[rate * n :], rate, rate * chunk_ms // 1000, call_id=f"call-{n}") for n in range(STREAMS)]


def assert_exactly_once(installation: Installation, streams: list[list[AudioChunk]]) -> None:
    expected = [lines(hear(Engine(Model.load()), stream)) for stream in streams]
    events = installation.events(sum(map(len, expected)))
    for stream, alone in zip(streams, expected, strict=True):
        assert lines(event for event in events if event.subject == stream[0].stream) == alone
    assert len(events) == sum(map(len, expected))


def test_kill_nine_in_the_middle_of_calls(installation: Installation) -> None:
    streams = calls()
    installation.send(interleave(*streams))
    for _ in range(4):
        worker = installation.worker(**SLOW).ready()
        time.sleep(random.uniform(0.1, 1.2))
        worker.kill()
    installation.worker().ready()
    assert_exactly_once(installation, streams)


def test_death_between_the_steps_of_a_transaction(installation: Installation) -> None:
    streams = calls()
    installation.send(interleave(*streams))
    for when, step in (
        ("after", "begin_transaction"),
        ("before", "flush"),
        ("after", "flush"),
        ("after", "send_offsets_to_transaction"),
        ("after", "commit_transaction"),
    ):
        program = ("-m", "tests.support.crashing_worker", when, step, "5")
        assert installation.worker(program=program, **SLOW).process.wait(timeout=PATIENCE_S) == 9
    installation.worker().ready()
    assert_exactly_once(installation, streams)


def test_workers_come_and_go(installation: Installation) -> None:
    streams = calls()
    parts = [[stream[part] for stream in streams] for part in (slice(40), slice(40, 80), slice(80, None))]
    first = installation.worker("w1", **SLOW).ready()
    installation.send(interleave(*parts[0]))
    second = installation.worker("w2", **SLOW).ready()
    installation.send(interleave(*parts[1]))
    wait_for(lambda: ": revoked" in first.output, "the first worker to lose partitions")
    assert second.stop() == 0
    installation.send(interleave(*parts[2]))
    assert_exactly_once(installation, streams)
    assert first.stop() == 0


def test_a_zombie_cannot_write(installation: Installation) -> None:
    streams = calls()
    zombie = installation.worker("w1", **SLOW).ready()
    installation.send(interleave(*streams))
    time.sleep(0.5)
    zombie.signal(signal.SIGSTOP)
    installation.worker("w2", **SLOW).ready()
    time.sleep(SESSION_TIMEOUT_S + 2)  # the group gives its partitions to the other
    zombie.signal(signal.SIGCONT)
    wait_for(lambda: "joining again" in zombie.output, "the zombie to find out")
    assert_exactly_once(installation, streams)
    assert zombie.stop() == 0


def test_two_workers_of_one_name(installation: Installation) -> None:
    pair = [installation.worker("same").ready(), installation.worker("same")]
    wait_for(lambda: any(worker.process.poll() is not None for worker in pair), "one of them to give way")
    gone, left = sorted(pair, key=lambda worker: worker.process.poll() is None)
    assert gone.process.returncode == 2
    assert "give each worker its own --instance-id" in gone.output
    assert left.ready().stop() == 0


def test_a_broker_that_dies_and_comes_back(tmp_path: Path) -> None:
    streams = calls()
    with local_broker(data_dir=tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        installation = Installation(settings, environment, Topics(), tmp_path)
        with admin(settings) as client:
            ensure_topics(client, installation.topics, partitions=4)
        worker = installation.worker(transaction_timeout_s=10, **SLOW).ready()
        installation.send(interleave(*streams))
        time.sleep(1)
        # The worker is frozen wherever it stands, and the broker ends what it has decided: killed in between, a single
        # Kafka 4.3.0 notes the transaction as complete when it is back, without having written its markers.
        worker.signal(signal.SIGSTOP)
        time.sleep(0.5)
        broker.process.kill()
        worker.signal(signal.SIGCONT)
    try:
        with local_broker(int(broker.bootstrap_servers.rpartition(":")[2]), tmp_path / "kafka"):
            assert_exactly_once(installation, streams)
            assert worker.stop() == 0
    finally:
        installation.close()

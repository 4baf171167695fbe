"""A Kafka that is away under running calls: they go on, what is lost is an exact gap, and new ones are refused."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from schemas.topics import Topics
from tests.support.gateway import AudioSocketClient, GatewayProcess, chunks_of_calls, ended, error, heard
from tests.support.installation import Installation, wait_for
from tests.support.streams import customer
from undertone.acoustics.codecs import decode
from undertone.devbroker.broker import free_port, local_broker
from undertone.gateway.refusals import Refusal
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

WIRE = "audiosocket"
CALLS = 20
pytestmark = [pytest.mark.slow, pytest.mark.kafka]


@contextmanager
def calling(address: tuple[str, int], samples: np.ndarray, rate: int) -> Iterator[list[AudioSocketClient]]:
    """Calls that go on in real time, round and round the same samples, and end with the block."""
    clients = [AudioSocketClient(address) for _ in range(CALLS)]
    over = threading.Event()

    def speak() -> None:
        step, start = rate // 10, time.monotonic()
        for n in range(10_000):
            if over.wait(max(0.0, start + n / 10 - time.monotonic())):
                return
            for client in clients:
                client.speak(np.take(samples, range(n * step, (n + 1) * step), mode="wrap"), rate, 100)

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield clients
    finally:
        over.set()
        speaker.join()
        for client in clients:
            client.end()


@pytest.mark.parametrize("chunk_ms", [500, 20], ids=["with room for all", "with room for a few seconds"])
def test_calls_outlive_an_outage_of_kafka(tmp_path: Path, chunk_ms: int) -> None:
    samples, rate = customer()
    port = free_port(0)
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_s=60)
    environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": settings.bootstrap_servers}
    options = {"chunk_ms": chunk_ms, "kafka_patience_s": 2, "buffer_bytes": 2**20 if chunk_ms == 20 else 2**27}
    with local_broker(port, tmp_path / "kafka"):
        with admin(settings) as client:
            ensure_topics(client, Topics(), partitions=4)
        gateway = GatewayProcess(environment, tmp_path / "gateway.log", "--audiosocket", "127.0.0.1:0", **options)
        address = gateway.address(WIRE)
        calls = calling(address, samples, rate)
        clients = calls.__enter__()
        wait_for(lambda: gateway.metric("undertone_producer_chunks_total") >= 2 * CALLS, "the first chunks")
    try:
        wait_for(lambda: "Kafka" in gateway.readiness(), "the gateway to miss Kafka")
        # An answer: nothing waits for Kafka.
        assert AudioSocketClient(address).answer() == error(Refusal.KAFKA_AWAY)
        if chunk_ms == 20:
            wait_for(
                lambda: gateway.metric("undertone_gateway_gap_seconds_total", wire=WIRE, cause="kafka") > CALLS,
                "a loss of a second for each call",
            )
        assert gateway.metric("undertone_gateway_open_streams", wire=WIRE) == CALLS
        with local_broker(port, tmp_path / "kafka"):
            delivered = gateway.metric("undertone_producer_chunks_total")
            wait_for(lambda: gateway.metric("undertone_producer_chunks_total") > delivered + CALLS, "chunks again")
            wait_for(lambda: gateway.metric("undertone_gateway_buffered_bytes") == 0, "all that waited")
            calls.__exit__(None, None, None)
            second = AudioSocketClient(address)
            second.speak(samples[:8000], rate)
            second.end()
            installation = Installation(settings, environment, Topics(), tmp_path)
            names = [f"{client.call}/customer" for client in (*clients, second)]
            streams = chunks_of_calls(installation, ended(*names))
            lost_s = gateway.metric("undertone_gateway_gap_seconds_total", wire=WIRE, cause="kafka")
            assert gateway.stop() == 0
    finally:
        gateway.kill()
    missing = 0
    for name in names[:-1]:
        expected = np.take(samples, range(len(heard(streams[name]))), mode="wrap")
        for chunk in streams[name]:
            here = expected[chunk.first_sample : chunk.first_sample + chunk.samples]
            assert np.array_equal(decode(chunk.audio, chunk.encoding), here)
        missing += len(expected) - sum(chunk.samples for chunk in streams[name])
    assert lost_s == pytest.approx(missing / rate)
    assert (missing > 0) == (chunk_ms == 20)


def test_a_gateway_without_kafka_says_so(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": f"127.0.0.1:{closed.getsockname()[1]}"}
        environment["UNDERTONE_CONNECT_TIMEOUT_S"] = "1"
        gateway = GatewayProcess(environment, tmp_path / "gateway.log", "--audiosocket", "127.0.0.1:0")
        assert gateway.process.wait(60) == 2
    assert gateway.output.count("\n") == 1
    assert "no Kafka at 127.0.0.1" in gateway.output

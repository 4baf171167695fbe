"""A worker whose Kafka is away waits for it: alive, not ready, and with a line that says so."""

import signal
import threading
from pathlib import Path

import pytest

from schemas.errors import UserError
from schemas.topics import Topics
from tests.support.installation import wait_for
from tests.support.service import get, running
from undertone.devbroker.broker import free_port, local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from undertone.observability.telemetry import Telemetry
from worker.service import Worker
from worker.settings import WorkerSettings


@pytest.mark.slow
def test_it_waits_at_its_start_and_in_an_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.watch.FRESH_S", 10.0)
    with local_broker(data_dir=tmp_path) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, connect_timeout_s=2)
        with admin(kafka) as client:
            ensure_topics(client, Topics(), partitions=2)
    port = int(kafka.bootstrap_servers.rpartition(":")[2])
    worker = Worker(kafka, WorkerSettings.load(instance_id="here", transaction_timeout_s=5, session_timeout_s=6))
    with Telemetry("127.0.0.1", 0, worker.metrics.registry, worker.health) as telemetry, running(worker) as ready:
        url = f"http://127.0.0.1:{telemetry.port}"

        def assert_alive_and_waiting() -> None:
            assert get(f"{url}/healthz")[0] == 200
            wait_for(tells_of_kafka, "readiness to tell of Kafka")

        def tells_of_kafka() -> bool:
            status, text = get(f"{url}/readyz")
            return status == 503 and "Kafka" in text

        wait_for(lambda: "no Kafka at" in caplog.text, "a line about the broker")
        assert_alive_and_waiting()
        with local_broker(port, tmp_path) as broker:
            assert ready.wait(120)
            wait_for(lambda: get(f"{url}/readyz")[0] == 200, "readiness")
            broker.process.send_signal(signal.SIGSTOP)
            try:
                wait_for(tells_of_kafka, "readiness to tell that it hangs")
                assert_turning(worker)
                assert_alive_and_waiting()
            finally:
                broker.process.send_signal(signal.SIGCONT)
            wait_for(lambda: get(f"{url}/readyz")[0] == 200, "readiness after it")
        wait_for(tells_of_kafka, "readiness to tell that it is away")
        assert_turning(worker)
        assert_alive_and_waiting()


def assert_turning(worker: Worker) -> None:
    """The loop goes round although there is no broker."""
    turned = threading.Event()
    beat, beats = worker.health.beat, []

    def counting() -> None:
        beat()
        beats.append(1)
        if len(beats) > 5:
            turned.set()

    worker.health.beat = counting  # type: ignore[method-assign]
    assert turned.wait(120)
    worker.health.beat = beat  # type: ignore[method-assign]


def test_it_gives_up_after_the_time_that_is_set() -> None:
    address = f"127.0.0.1:{free_port(0)}"
    worker = Worker(
        KafkaSettings(bootstrap_servers=address, connect_timeout_s=0.5), WorkerSettings.load(broker_wait_s=0)
    )
    with pytest.raises(UserError, match=f"no Kafka at {address}"):
        worker.run(lambda _: None)


def test_what_no_broker_can_mend_is_said_at_once(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port(0)}"
    worker = Worker(KafkaSettings(bootstrap_servers=address), WorkerSettings.load(model=tmp_path / "absent.zip"))
    with pytest.raises(UserError, match="No such file"):
        worker.run(lambda _: None)

"""A real run, watched by a real Prometheus: each panel of the dashboards shows it, and a broken one fires alerts."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import Topics
from scripts.dashboards.written import written
from tests.producer.recordings import UNDERTONE
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.paths import SAMPLES
from tests.support.prometheus import Prometheus
from undertone.devbroker.broker import free_port
from undertone.messaging.clients import admin, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

# Empty in a run in which nothing fails: what they show has no series before it happens.
EMPTY_WHERE_ALL_IS_WELL = {
    "Errors, by place": "a series of undertone_errors_total begins with its first error",
    "The champion on new labels": "nobody has labelled anything: it is NaN",
    "Shadow: does the challenger agree?": "nobody is the challenger: it is NaN",
}
GARBAGE = 20

pytestmark = pytest.mark.slow


@dataclass
class Run:
    """What a test may look at, and break."""

    prometheus: Prometheus
    installation: Installation
    worker: WorkerProcess
    port: int
    began: float


@pytest.fixture(scope="module")
def run(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A worker that hears a call from a producer, and messages that are none; what stands beside it looks on."""
    directory = tmp_path_factory.mktemp("watched")
    settings = KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"t-{uuid.uuid4().hex[:8]}.")
    environment = os.environ | {
        "UNDERTONE_BOOTSTRAP_SERVERS": kafka,
        "UNDERTONE_TOPIC_PREFIX": settings.topic_prefix,
    }
    topics = Topics(settings.topic_prefix)
    with admin(settings) as client:
        ensure_topics(client, topics, partitions=4)
    installation = Installation(settings, environment, topics, directory)
    jobs = ("worker", "producer", "gateway", "sink", "trainer", "console")
    ports = {job: free_port(0) for job in jobs}
    began = time.time()
    try:
        with Prometheus(directory / "prometheus", ports, waits="2s") as prometheus:
            worker = installation.worker(metrics_port=ports["worker"], drift_utterances=1, queues="call,sales-")
            start_others(installation, ports, directory)
            worker.ready()
            up = 'count(up{job!="producer"} == 1)'
            wait_for(lambda: answers(prometheus, up) == len(jobs) - 1, "all services", said=worker.last_words)
            arguments = [str(SAMPLES / "call.flac"), "--speed", "4", "--metrics-port", str(ports["producer"])]
            subprocess.run([*UNDERTONE, "produce", *arguments], env=environment, check=True, timeout=120)
            with closing(idempotent_producer(settings)) as producer:
                for _ in range(GARBAGE):
                    producer.send(topics.call_audio.name, key=b"x", value=b"no chunk").get(60)
            yield Run(prometheus, installation, worker, ports["worker"], began)
    finally:
        installation.close()


def start_others(installation: Installation, ports: Mapping[str, int], directory: Path) -> None:
    """What stands beside the workers; each serves its metrics."""
    for job, words in {
        "gateway": ["gateway", "--audiosocket", "127.0.0.1:0"],
        "sink": ["sink", "parquet", "--to", str(directory / "kept")],
        "trainer": ["trainer", "--out", str(directory / "models")],
        "console": ["console", "--port", "0"],
    }.items():
        # A sink's batches take a minute by default.
        port = {f"{job}_metrics_port": ports[job]} | ({"sink_batch_s": 0.2} if job == "sink" else {})
        installation.worker(job, ("-c", "from undertone.cli.main import main; main()", *words), **port)


def answers(prometheus: Prometheus, query: str) -> float:
    """The one number that a query has; 0 where it has none."""
    found = prometheus.ask("query", query=query)["result"]
    return float(found[0]["value"][1]) if found else 0.0


def queries() -> dict[str, list[dict[str, Any]]]:
    """What each panel of each dashboard asks, with Grafana's variables filled in."""
    found: dict[str, list[dict[str, Any]]] = {}
    for text in written().values():
        board = json.loads(text)
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                expr = (
                    target["expr"]
                    .replace("$__rate_interval", "15s")
                    .replace("$role", "customer")
                    .replace("$queue", ".*")
                )
                assert "$" not in expr, expr
                found.setdefault(panel["title"], []).append(target | {"expr": expr})
    return found


def test_every_panel_shows_the_run(run: Run) -> None:
    waiting = [
        (title, target)
        for title, targets in queries().items()
        if title not in EMPTY_WHERE_ALL_IS_WELL
        for target in targets
    ]
    end = time.monotonic() + 120
    while waiting:
        waiting = [(title, target) for title, target in waiting if not shows(run, target)]
        assert time.monotonic() < end, [(title, target["expr"]) for title, target in waiting]
        time.sleep(1)


def shows(run: Run, target: dict[str, Any]) -> bool:
    """Whether a query has a number at some moment of the run, and all labels that its legend names."""
    series = run.prometheus.over(target["expr"], run.began, time.time())
    told = [one["metric"] for one in series if any(value != "NaN" for _, value in one["values"])]
    labels = [part.split("}}")[0] for part in target["legendFormat"].split("{{")[1:]]
    return any(all(label in metric for label in labels) for metric in told)


def test_what_is_left_out_is_a_query_all_the_same(run: Run) -> None:
    for title in EMPTY_WHERE_ALL_IS_WELL:
        for target in queries()[title]:
            run.prometheus.over(target["expr"], run.began, time.time())


def test_a_run_that_breaks_fires_alerts_and_one_that_is_mended_ends_them(run: Run) -> None:
    """Minutes of waiting are 2 s here; causes and expressions are the real ones."""
    firing = run.prometheus.firing
    wait_for(lambda: "DeadLetters" in firing(), f"an alert on {GARBAGE} dead letters", said=lambda: str(firing()))
    assert not {"WorkerIsGone", "PartitionIsLeft"} & firing()
    run.worker.kill()
    wait_for(lambda: {"WorkerIsGone", "PartitionIsLeft"} <= firing(), "alerts on the kill", said=lambda: str(firing()))
    run.installation.worker(metrics_port=run.port).ready()
    wait_for(lambda: not {"WorkerIsGone", "PartitionIsLeft"} & firing(), "their end", said=lambda: str(firing()))

"""A worker as a service in this process, and what it tells."""

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError

from tests.support.installation import Installation
from undertone.inference.bundle import DEFAULT_BUNDLE, bundle_bytes, read_bundle
from undertone.messaging.clients import idempotent_producer
from worker.service import Worker
from worker.settings import WorkerSettings

NAME = read_bundle(DEFAULT_BUNDLE).card.name


@contextmanager
def running(worker: Worker) -> Iterator[threading.Event]:
    """Run a worker in a thread of this process; yields what is set once it is ready."""
    ready = threading.Event()
    thread = threading.Thread(target=worker.run, args=[lambda _: ready.set()], daemon=True)
    thread.start()
    yield ready
    worker.stop()
    thread.join(90)
    assert not thread.is_alive()


@contextmanager
def starting(installation: Installation, **options: Any) -> Iterator[tuple[Worker, threading.Event]]:
    """A worker of an installation, and what is set once it is ready."""
    worker = Worker(installation.settings, WorkerSettings.load(instance_id="here", session_timeout_s=4, **options))
    with running(worker) as ready:
        yield worker, ready


@contextmanager
def working(installation: Installation, **options: Any) -> Iterator[Worker]:
    """A worker that is ready."""
    with starting(installation, **options) as (worker, ready):
        assert ready.wait(90)
        yield worker


def publish_model(installation: Installation, version: str, value: bytes) -> None:
    with closing(idempotent_producer(installation.settings)) as producer:
        producer.send(installation.topics.models.name, key=version.encode(), value=value).get(60)


def bundle_of(version: str) -> bytes:
    bundle = read_bundle(DEFAULT_BUNDLE)
    return bundle_bytes(replace(bundle, card=bundle.card.model_copy(update={"version": version})))


def value(worker: Worker, name: str, **labels: str) -> float:
    """A metric's value now; 0 where it has none."""
    if name == "undertone_model_info":
        labels["name"] = NAME
    return worker.metrics.registry.get_sample_value(name, labels) or 0.0


def get(url: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  (always the address of our own server)
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()

"""The bound on what is in flight, and who waits for it; no Kafka, but one that never answers."""

import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from typing import Any

import pytest
from kafka.future import Future
from kafka.producer.future import RecordMetadata

from producer.clock import ClockCheck
from producer.metrics import ProducerMetrics
from producer.sender import MAX_RECORDS, Sender
from schemas.topics import Topics
from tests.producer.recordings import CALL, UNDERTONE
from tests.support.installation import wait_for
from tests.support.streams import customer, cut
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics


class Silent:
    """Takes chunks and never answers, unless it has an answer."""

    def __init__(self) -> None:
        self.taken = 0
        self.answer: RecordMetadata | None = None

    def partitions_for(self, _: str) -> set[int]:
        return {0}

    def send(self, *_: Any, **__: Any) -> Future:
        self.taken += 1
        return Future().success(self.answer) if self.answer else Future()


def test_who_waits_for_room_in_flight_stops_when_asked() -> None:
    chunk = cut(*customer(), 160)[0]
    kafka, asked, stop = Silent(), threading.Semaphore(0), threading.Event()

    def stopping() -> bool:
        asked.release()
        return stop.is_set()

    sender = Sender(kafka, "call-audio", ProducerMetrics(), stopping, ClockCheck(print))
    for _ in range(MAX_RECORDS):
        sender.send(chunk)
    assert not asked.acquire(blocking=False), "nobody has waited"
    waiting = threading.Thread(target=sender.send, args=(chunk,), daemon=True)
    waiting.start()
    for _ in range(3):
        assert asked.acquire(timeout=60), "who waits looks again and again"
    assert kafka.taken == MAX_RECORDS
    stop.set()
    waiting.join(60)
    assert not waiting.is_alive()
    # What ends the streams goes out too.
    sender.send(chunk)
    assert kafka.taken == MAX_RECORDS + 2


def test_a_flush_gives_up_some_seconds_after_it_was_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.sender.STOP_FLUSH_S", 0.5)
    stop = threading.Event()
    sender = Sender(Silent(), "call-audio", ProducerMetrics(), stop.is_set, ClockCheck(print))
    sender.send(cut(*customer(), 160)[0])
    flushing = threading.Thread(target=sender.flush, daemon=True)
    flushing.start()
    flushing.join(1)
    assert flushing.is_alive()
    stop.set()
    flushing.join(60)
    assert not flushing.is_alive()
    assert sender.first_error == "no answer within 0 s"


def test_a_wrong_clock_is_said_once() -> None:
    said: list[str] = []
    for ahead_s in (0, 300, 300):
        kafka = Silent()
        kafka.answer = RecordMetadata("call-audio", 0, None, 0, int((time.time() - ahead_s) * 1000), None, 0, 0, 0)
        sender = Sender(kafka, "call-audio", ProducerMetrics(), lambda: False, ClockCheck(said.append))
        for _ in range(3):
            sender.send(cut(*customer(), 160)[0])
        assert sender.delivered == 3
    assert len(said) == 2
    assert said[0].startswith("this machine's clock is 300 s ahead of Kafka's, ")


@pytest.mark.parametrize(
    ("written_s", "off"),
    [
        (100, None),
        (101, None),
        (98.5, None),
        (103.5, None),
        (90, "10 s ahead of Kafka's"),
        (120, "18 s behind Kafka's"),
    ],
)
def test_a_clock_is_wrong_where_kafka_wrote_before_it_was_sent_or_after_it_was_acknowledged(
    written_s: float, off: str | None
) -> None:
    said: list[str] = []
    ClockCheck(said.append).took(100, 102, int(written_s * 1000))
    assert [f"this machine's clock is {off}, and" in line for line in said] == [True] * (off is not None)


def delivered(url: str) -> float:
    """Chunks that Kafka has taken, as the producer tells."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  our own
        return float(re.findall(r"^undertone_producer_chunks_total (\S+)$", answer.read().decode(), re.MULTILINE)[0])


@pytest.mark.slow
def test_sigterm_is_seen_while_kafka_takes_nothing_more() -> None:
    with local_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with admin(settings) as client:
            ensure_topics(client, Topics())
        process = subprocess.Popen(
            # 1.6 GB: a hundred times the bound.
            [*UNDERTONE, "produce", str(CALL), "--calls", "2000", "--speed", "max", "--metrics-port", "0"],
            env=os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout
            url = process.stdout.readline().removeprefix("metrics on ").strip()
            assert "call-0001 to call-2000" in process.stdout.readline()
            wait_for(lambda: delivered(url) > 0, "the first chunks")
            os.killpg(broker.process.pid, signal.SIGSTOP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            process.terminate()
            # 10 s for what is in flight, 2 s to close.
            assert process.wait(90) == 143
        finally:
            os.killpg(broker.process.pid, signal.SIGCONT)
            process.kill()
            process.communicate()

"""What is mended in kafka-python: that it helps, and that it is still needed.

A test named `test_kafka_python_still_...` that fails says that kafka-python has changed: its workaround can go.
"""

import io
import os
import signal
import ssl
import threading
import time
from contextlib import ExitStack, closing
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.consumer import group
from kafka.errors import KafkaConnectionError, KafkaTimeoutError, ProducerFencedError
from kafka.net import manager
from kafka.net.transport import KafkaTCPTransport
from kafka.producer import transaction_manager

from schemas.topics import Topics
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin, group_consumer, idempotent_producer, reader
from undertone.messaging.fetched_records import FetchedRecords, LocatingFetcher
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import (
    BoundedResult,
    SteadyCoordinator,
    WideTLSTransport,
    WideTransport,
    bounded,
    close_at_once,
    has_joined,
    learn_partitions,
)


def asks_at_once(consumer: KafkaConsumer) -> bool:
    """Whether nothing has to pass before a consumer that was just made may ask for metadata again."""
    return bool(consumer._manager.cluster._last_refresh_ms == 0)


def test_a_new_consumer_asks_for_its_topic_at_once(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(reader(kafka_settings)) as consumer:
        assert asks_at_once(consumer)
        assert consumer.partitions_for_topic(topics.call_audio.name)
        assert not asks_at_once(consumer)


def test_kafka_python_still_lets_a_new_consumer_wait(kafka_settings: KafkaSettings) -> None:
    with closing(KafkaConsumer(**kafka_settings.client_options() | {"retry_backoff_ms": 5})) as consumer:
        assert not asks_at_once(consumer)
        assert consumer._manager.cluster.config["retry_backoff_ms"] == 100


def test_who_has_joined_has_been_told_its_partitions(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(group_consumer(kafka_settings, f"{kafka_settings.topic_prefix}members")) as consumer:
        consumer.subscribe([topics.call_audio.name])
        learn_partitions(consumer, topics.call_audio.name)
        end = time.monotonic() + 60
        while not has_joined(consumer):
            assert time.monotonic() < end
            consumer.poll(timeout_ms=1)
        assert len(consumer.assignment()) == 4


class Socket:
    """One from which `content` can be read, then nothing for now, or what `then` says."""

    def __init__(self, content: bytes, then: type[Exception] | None = BlockingIOError) -> None:
        self._content, self._then = io.BytesIO(content), then
        self.reads = 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        piece = self._content.read(size)
        if not piece and self._then:
            raise self._then
        return piece


def received(made: type[KafkaTCPTransport], socket: Socket | None) -> tuple[bytes, Exception | None]:
    transport: Any = object.__new__(made)
    transport._sock = socket
    data, error = transport._sock_recv()
    return bytes(data), error


@pytest.mark.parametrize("made", [WideTransport, WideTLSTransport])
def test_a_large_answer_is_read_in_few_pieces(made: type[KafkaTCPTransport]) -> None:
    answer = os.urandom(4_000_000)
    then = ssl.SSLWantReadError if made is WideTLSTransport else BlockingIOError
    socket = Socket(answer, then)
    assert received(made, socket) == (answer, None)
    assert socket.reads < 10
    assert received(made, Socket(b"", then)) == (b"", None)
    for gone in (Socket(b"some", None), Socket(b"some", ConnectionResetError)):
        data, error = received(made, gone)
        assert data == b"some"
        assert isinstance(error, KafkaConnectionError)
    assert isinstance(received(made, None)[1], KafkaConnectionError)  # closed by another thread


def test_kafka_python_still_reads_a_large_answer_in_small_pieces() -> None:
    socket = Socket(bytes(1_000_000))
    assert len(received(KafkaTCPTransport, socket)[0]) == 1_000_000
    assert socket.reads > 200


def test_the_end_of_a_transaction_is_not_waited_for_for_ever() -> None:
    unanswered, refused, done = BoundedResult(), BoundedResult(), BoundedResult()
    with pytest.raises(KafkaTimeoutError, match="given up"):
        bounded(unanswered.wait, 0.05)
    refused.done(ProducerFencedError())
    with pytest.raises(ProducerFencedError):
        bounded(refused.wait, 60)
    done.done()
    bounded(done.wait, 60)
    # The time is that of one call and of its thread: others' waits are theirs.
    assert not unanswered.wait(timeout_ms=1)
    waiting = threading.Thread(target=unanswered.wait, daemon=True)
    waiting.start()
    with pytest.raises(KafkaTimeoutError):
        bounded(unanswered.wait, 0.05)
    assert waiting.is_alive()
    unanswered.done()
    waiting.join(60)
    assert not waiting.is_alive()


def test_kafka_python_still_waits_for_ever_for_the_end_of_a_transaction() -> None:
    (original,) = BoundedResult.__bases__
    unanswered = original()
    waiting = threading.Thread(target=bounded, args=(unanswered.wait, 0.01), daemon=True)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    unanswered.done()


def test_every_client_of_ours_is_mended(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(group_consumer(kafka_settings, "members")):
        assert manager.KafkaTCPTransport is WideTransport
        assert manager.KafkaSSLTransport is WideTLSTransport
        assert transaction_manager.TransactionalRequestResult is BoundedResult
        assert group.ConsumerCoordinator is SteadyCoordinator
        assert group.Fetcher is LocatingFetcher
        assert LocatingFetcher.PartitionRecords is FetchedRecords


@pytest.mark.slow
def test_a_producer_is_closed_with_what_it_cannot_deliver() -> None:
    with local_broker() as kafka, ExitStack() as stack:
        settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
        with admin(settings) as client:
            client.create_topics({"log": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        theirs, ours = idempotent_producer(settings), idempotent_producer(settings)
        for producer in (theirs, ours):
            producer.send("log", b"delivered").get(timeout=60)
        os.killpg(kafka.process.pid, signal.SIGSTOP)
        stack.callback(os.killpg, kafka.process.pid, signal.SIGCONT)
        waiting = [producer.send("log", b"not delivered") for producer in (theirs, ours)]
        close_at_once(ours, 60)
        assert not ours._sender.is_alive()
        assert waiting[1].failed()
        # Kafka-python by itself: where this does not raise any more, close_at_once can go.
        with pytest.raises(KafkaTimeoutError):
            theirs.close(timeout=0.5)
        assert theirs._sender.is_alive()
        close_at_once(theirs, 60)

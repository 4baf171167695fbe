"""Closing a client: nothing of what that breaks off is an error, whatever the client's own thread is at.

A test named `test_kafka_python_still_...` that fails says that kafka-python has changed: its workaround can go.
"""

import logging
import selectors
import threading
import time
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.net.compat import KafkaNetClient

from undertone.messaging.clients import admin, idempotent_producer, reader
from undertone.messaging.orderly_closing import OrderlyClient
from undertone.messaging.settings import KafkaSettings


def unmended(settings: KafkaSettings) -> KafkaAdminClient:
    return KafkaAdminClient(**settings.client_options() | {"kafka_client": KafkaNetClient})


def close_while_its_thread_registers(client: KafkaAdminClient, patience_s: float) -> None:
    """Close a client whose thread is about to register a socket, and goes on once that is closed."""
    net, there = client._net, threading.Event()
    register = net.register_event

    def register_late(socket: Any, event: int, task: Any) -> None:
        if event == selectors.EVENT_READ:
            there.set()
            end = time.monotonic() + patience_s
            while socket.fileno() != -1 and time.monotonic() < end:
                time.sleep(0.01)
        register(socket, event, task)

    net.register_event = register_late
    client._manager.cluster.request_update()
    assert there.wait(60)
    client.close()


def test_a_socket_is_closed_once_the_thread_that_uses_it_has_ended(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    close_while_its_thread_registers(admin(kafka_settings), 0.3)
    assert not caplog.records


def test_kafka_python_still_closes_sockets_that_its_thread_uses(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    close_while_its_thread_registers(unmended(kafka_settings), 60)
    assert "Invalid file descriptor: -1" in caplog.text


def close_while_an_answer_is_awaited(client: KafkaAdminClient) -> None:
    """Close a client that has asked for metadata and has had no answer."""
    client.list_topics()
    (connection,) = client._manager._conns.values()
    connection.data_received = lambda _: None
    client._manager.cluster.request_update()
    end = time.monotonic() + 60
    while not connection.in_flight_requests:
        assert time.monotonic() < end
        time.sleep(0.01)
    client.close()


def test_what_closing_breaks_off_is_no_error(kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture) -> None:
    close_while_an_answer_is_awaited(admin(kafka_settings))
    assert not caplog.records
    # What any client has to say at another time is news.
    logging.getLogger("kafka.cluster").error("Metadata refresh: failed")
    assert caplog.messages == ["Metadata refresh: failed"]


def test_kafka_python_still_reports_what_closing_breaks_off(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    close_while_an_answer_is_awaited(unmended(kafka_settings))
    assert "Metadata refresh: failed" in caplog.text


def test_every_client_of_ours_is_closed_like_that(kafka_settings: KafkaSettings) -> None:
    with (
        closing(reader(kafka_settings)) as consumer,
        closing(admin(kafka_settings)) as administrator,
        closing(idempotent_producer(kafka_settings)) as producer,
    ):
        for client in (consumer._client, administrator._client, producer._sender._client):
            assert isinstance(client, OrderlyClient)

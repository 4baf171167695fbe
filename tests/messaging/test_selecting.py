"""The selector of Kafka's clients answers as the standard library's does."""

import selectors
import socket
from contextlib import closing

import pytest

from undertone.messaging.clients import reader
from undertone.messaging.selecting import QuickSelector
from undertone.messaging.settings import KafkaSettings


@pytest.fixture
def sockets() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


def test_a_socket_is_registered_or_it_is_not(sockets: tuple[socket.socket, socket.socket]) -> None:
    one, other = sockets
    with QuickSelector() as selector, one, other:
        key = selector.register(one, selectors.EVENT_READ, "data")
        assert selector.get_key(one) == key
        with pytest.raises(KeyError):
            selector.get_key(other)
        changed = selector.modify(one, selectors.EVENT_READ | selectors.EVENT_WRITE, "more")
        assert selector.get_key(one) == changed
        selector.unregister(one)
        with pytest.raises(KeyError):
            selector.get_key(one)


def test_a_closed_socket_is_found_as_long_as_it_is_registered(sockets: tuple[socket.socket, socket.socket]) -> None:
    one, other = sockets
    with QuickSelector() as selector, other:
        key = selector.register(one, selectors.EVENT_READ)
        one.close()
        assert selector.get_key(one) == key
        selector.unregister(one)
        with pytest.raises((KeyError, ValueError)):
            selector.get_key(one)


def test_clients_use_it(kafka_settings: KafkaSettings) -> None:
    with closing(reader(kafka_settings)) as consumer:
        assert isinstance(consumer._net._selector, QuickSelector)

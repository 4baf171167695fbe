"""The proxies do what the faults ask of them."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.network import Link, Network


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def answer(client: socket.socket) -> None:
    with client:
        while data := client.recv(65536):
            client.sendall(data)


@pytest.fixture
def link() -> Iterator[Link]:
    network = Network()
    yield network.link()
    network.close()


def say(client: socket.socket, text: bytes) -> bytes:
    client.sendall(text)
    heard = b""
    while len(heard) < len(text):
        heard += client.recv(65536)
    return heard


def test_a_whole_link_passes_all(link: Link, echo: int) -> None:
    with socket.create_connection(("127.0.0.1", link.forward_to(echo)), timeout=60) as client:
        assert say(client, b"x" * 300_000) == b"x" * 300_000


def test_a_silent_cut_delivers_afterwards(link: Link, echo: int) -> None:
    port = link.forward_to(echo)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        assert say(client, b"before") == b"before"
        with link.cut("silent"):
            time.sleep(0.2)
            client.sendall(b"during")
            client.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.settimeout(60)
        assert client.recv(6) == b"during"


def test_a_reset_ends_connections_and_refuses_new_ones(link: Link, echo: int) -> None:
    port = link.forward_to(echo)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        assert say(client, b"before") == b"before"
        with link.cut("reset"):
            assert ended(client)
            with socket.create_connection(("127.0.0.1", port), timeout=60) as other:
                assert ended(other)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        assert say(client, b"after") == b"after"


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_a_slow_link_is_late_and_narrow(link: Link, echo: int) -> None:
    with socket.create_connection(("127.0.0.1", link.forward_to(echo)), timeout=60) as client:
        start = time.monotonic()
        with link.slow(delay_s=0.3):
            assert say(client, b"late") == b"late"
        assert time.monotonic() - start >= 0.6
        start = time.monotonic()
        with link.slow(bytes_per_s=100_000):
            assert say(client, b"x" * 50_000) == b"x" * 50_000
        assert time.monotonic() - start >= 0.9

"""A platform's side of a WebSocket, and the gateway's answer to it."""

import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from twilio.request_validator import RequestValidator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.installation import PATIENCE_S

SECRET = "0123456789abcdef" * 2


@contextlib.contextmanager
def connected(address: tuple[str, int], path: str, **options: Any) -> Iterator[ClientConnection]:
    """A connection that waits as long as a busy machine may need."""
    scheme = "wss" if "ssl" in options else "ws"
    patience: dict[str, Any] = {"open_timeout": PATIENCE_S, "close_timeout": PATIENCE_S, "ping_interval": None}
    with connect(f"{scheme}://{address[0]}:{address[1]}{path}", **patience, **options) as connection:
        yield connection


def answer(connection: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the gateway closes a connection with."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            connection.recv(timeout=PATIENCE_S)
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


def call(address: tuple[str, int], path: str, messages: Iterable[str | bytes], **options: Any) -> tuple[int, str]:
    """Send all messages, as fast as they are taken; returns how the gateway closes the connection."""
    with connected(address, path, **options) as connection:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                connection.send(message)
        return answer(connection)


def cut(connection: ClientConnection) -> None:
    """The network is gone, without a close frame."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.shutdown(socket.SHUT_RDWR)


def signed(url: str, secret: str = SECRET) -> str:
    """What Twilio's own library signs a handshake for `url` with."""
    return str(RequestValidator(secret).compute_signature(url, {}))

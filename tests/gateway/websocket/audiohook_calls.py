"""A client that talks AudioHook to a gateway, as Genesys does."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from schemas.audio import Encoding
from tests.gateway.websocket.audiohook_client import Messages, handshake_headers
from tests.gateway.websocket.client import connected
from tests.support.gateway import GatewayProcess
from tests.support.installation import PATIENCE_S
from tests.support.streams import customer, load
from undertone.acoustics.codecs import encode


class Genesys(Messages):
    """A client on a connection."""

    connection: ClientConnection

    def send(self, *messages: str | bytes) -> None:
        """Send, as fast as it is taken; a gateway that has closed meanwhile has answered."""
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                self.connection.send(message)

    def answer(self) -> dict[str, Any]:
        """The gateway's next message."""
        return self.read(self.connection.recv(timeout=PATIENCE_S))

    def begin(self, media: list[dict[str, Any]] | None = None, **parameters: Any) -> None:
        """`open`, which is agreed to."""
        self.send(self.open(media, **parameters))
        opened = self.answer()
        assert opened["type"] == "opened", opened

    def speak(self, samples: NDArray[np.int16], size: int = 1600) -> None:
        """Audio, int16 [n, channels], as mu-law."""
        for start in range(0, len(samples), size):
            piece = np.ascontiguousarray(samples[start : start + size])
            self.send(encode(piece.reshape(-1), Encoding.PCMU))
            self.position += len(piece)

    def close(self, reason: str = "end") -> None:
        """`close`, to which the gateway says `closed` and leaves the socket to the client."""
        self.send(self.write("close", reason=reason))
        assert self.answer()["type"] == "closed"
        self.connection.close()

    def told(self) -> str:
        """What the gateway disconnects for; the client closes, as the protocol has it."""
        while (answer := self.answer())["type"] != "disconnect":
            pass
        self.close("disconnect")
        return f"{answer['parameters']['reason']}: {answer['parameters']['info']}"


@contextlib.contextmanager
def genesys(
    gateway: GatewayProcess, name: str = "call-1", headers: dict[str, str] | None = None, path: str = "/audiohook"
) -> Iterator[Genesys]:
    client = Genesys(conversation=name)
    own = handshake_headers(client.session) if headers is None else headers
    with connected(gateway.address("websocket"), path, additional_headers=own) as client.connection:
        yield client


def both_sides() -> NDArray[np.int16]:
    """The sample call, external left: int16 [n, 2]."""
    sound, _ = customer()
    return np.stack([sound, load("call.flac", 0)[0]], axis=1)

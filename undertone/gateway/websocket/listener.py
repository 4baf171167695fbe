"""The WebSocket listener: one address, a path for each protocol, and every refusal as a close code with a reason."""

import asyncio
import contextlib
import http
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets import Subprotocol
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from schemas.errors import UserError
from undertone.gateway.addresses import Address
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.websocket import asterisk, audiohook, microphone, mod_audio_stream
from undertone.gateway.websocket.dialects import DIALECTS
from undertone.gateway.websocket.media_streams import MediaStreams
from undertone.gateway.websocket.sessions import close_of
from undertone.gateway.wire import Started

NAME = "websocket"

# Messages of one connection that are read ahead; more stay in the network.
_MAX_QUEUE = 16
# How long TLS and the handshake may take: a machine that starts many calls at once needs more than the library's ten
# seconds at times.
_OPEN_S = 30.0
# How long the other side may take to answer a close.
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A protocol: `serve` takes one connection, `authorize` raises Refused for a handshake that is turned away."""

    wire: str
    serve: Callable[[ServerConnection, Calls, GatewaySettings], Awaitable[None]]
    authorize: Callable[[Request, GatewaySettings], None]
    compression: bool = False
    subprotocol: str | None = None


def _media_streams() -> dict[str, Endpoint]:
    return {
        f"/{dialect.name}": Endpoint(dialect.name, MediaStreams(dialect).serve, MediaStreams(dialect).authorize)
        for dialect in DIALECTS
    }


PATHS: Mapping[str, Endpoint] = {
    **_media_streams(),
    "/mod_audio_stream": Endpoint(
        mod_audio_stream.NAME, mod_audio_stream.serve, mod_audio_stream.authorize, compression=True
    ),
    "/asterisk": Endpoint(asterisk.NAME, asterisk.serve, asterisk.authorize, subprotocol=asterisk.SUBPROTOCOL),
    "/audiohook": Endpoint(audiohook.NAME, audiohook.serve, audiohook.authorize),
    "/microphone": Endpoint(microphone.NAME, microphone.serve, microphone.authorize),
}


class WebSocketWire:
    """The listener."""

    name = NAME

    def __init__(self, address: Address, settings: GatewaySettings) -> None:
        settings.require_protection("--websocket", address, tokens=True)
        self._address = address
        self._settings = settings
        self._tls = settings.server_context()

    async def run(self, calls: Calls, started: Started) -> None:
        """Serve until cancelled; then connections are closed as by a gateway that goes away."""
        for endpoint in PATHS.values():
            calls.metrics.begin(endpoint.wire)
        # Two lines for each connection say nothing that the metrics do not.
        logging.getLogger("websockets.server").setLevel(logging.WARNING)
        connections = _Connections(calls, self._settings)
        try:
            server = await listen(
                connections.serve,
                self._address.host,
                self._address.port,
                ssl=self._tls,
                process_request=connections.admit,
                select_subprotocol=_subprotocol,
                max_size=self._settings.max_message_bytes,
                max_queue=_MAX_QUEUE,
                open_timeout=_OPEN_S,
                close_timeout=_CLOSE_S,
                server_header=None,
            )
        except OSError as error:
            raise UserError(f"--websocket {self._address}: cannot listen there ({error.strerror})") from error
        async with server:
            started(NAME, str(Address(self._address.host, next(iter(server.sockets)).getsockname()[1])))
            await server.serve_forever()


class _Connections:
    """Takes connections, and turns them away."""

    def __init__(self, calls: Calls, settings: GatewaySettings) -> None:
        self._calls = calls
        self._settings = settings

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Look at a handshake: None lets it pass, a response says why not."""
        endpoint = PATHS.get(_path(request))
        if endpoint is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"paths: {' '.join(PATHS)}\n")
        if not endpoint.compression and "Sec-WebSocket-Extensions" in request.headers:
            # A connection that compresses costs 64 KiB and more, and base64 of sound gets no smaller by it.
            del request.headers["Sec-WebSocket-Extensions"]
        try:
            endpoint.authorize(request, self._settings)
        except Refused as refused:
            self._calls.refused(endpoint.wire, refused, _peer(connection))
            return connection.respond(http.HTTPStatus.FORBIDDEN, f"{refused.text}\n")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """Take one connection, and close it with what there is to say."""
        assert connection.request is not None  # noqa: S101  there was a handshake
        endpoint = PATHS[_path(connection.request)]
        try:
            with self._calls.connection(endpoint.wire):
                await endpoint.serve(connection, self._calls, self._settings)
        except Refused as refused:
            self._calls.refused(endpoint.wire, refused, _peer(connection))
            await _close(connection, *close_of(refused))
        except ConnectionClosed:
            pass  # the other side is gone, and its streams know


async def _close(connection: ServerConnection, code: int, reason: str) -> None:
    """Close, and read over what still comes: behind it is the other side's answer to the close."""
    closing = asyncio.create_task(connection.close(code, reason))
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()
    await closing


def _path(request: Request) -> str:
    return urlsplit(request.path).path


def _peer(connection: ServerConnection) -> str:
    address = connection.remote_address
    return str(address[0]) if address else "?"


def _subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The one of the path, where it is offered."""
    assert connection.request is not None  # noqa: S101  it is the handshake's
    endpoint = PATHS.get(_path(connection.request))
    return next((name for name in offered if endpoint and name == endpoint.subprotocol), None)

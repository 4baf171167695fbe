"""`undertone console`: the feed's thread and the web server, until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator

import uvicorn

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.console.web.app import application
from undertone.console.web.feed import Feed
from undertone.console.web.hub import Hub
from undertone.console.web.protocol import Protocol
from undertone.console.web.settings import ConsoleSettings
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics

# Open connections, of whom pages that are open are some; what comes above is answered with 503.
_CONNECTIONS = 1_000
_STARTED_S = 60.0
_LOOK_S = 0.1


def console(settings: ConsoleSettings, kafka: KafkaSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` gets the address once it can be opened.

    Raises:
        UserError: no Kafka, no topic, an address that cannot be had.
    """
    topic = Topics(kafka.topic_prefix).emotion_events
    with admin(kafka) as client:
        require_topics(client, topic)
    with _listening(settings) as listener:
        asyncio.run(_serve(settings, kafka, topic.name, listener, ready))


@contextlib.contextmanager
def _listening(settings: ConsoleSettings) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(address[:2], family=family, backlog=128) as listener:
            yield listener
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"cannot listen on {where} ({error}); choose another --port, 0 for a free one") from None


async def _serve(
    settings: ConsoleSettings, kafka: KafkaSettings, topic: str, listener: socket.socket, ready: Callable[[str], None]
) -> None:
    feed: Feed
    hub = Hub(settings.memory_events, lambda: feed.away)
    feed = Feed(kafka, topic, settings.back_s, hub.take)
    server = _Server(
        uvicorn.Config(
            application(settings, hub),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            http=Protocol,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=3,
        )
    )

    def stop() -> None:
        hub.close()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    feed.start()
    try:
        await _begun(feed, server)
        host, port = listener.getsockname()[:2]
        ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        watch = asyncio.create_task(_stop_without(feed, stop))
        await server.serve(sockets=[listener])
        watch.cancel()
        if not feed.alive:
            raise RuntimeError("nothing is read from Kafka any more")
    finally:
        await asyncio.to_thread(feed.stop)


async def _begun(feed: Feed, server: uvicorn.Server) -> None:
    """Wait until the feed knows from where on it reads; the page is there without it, where Kafka takes too long."""
    until = time.monotonic() + _STARTED_S
    while not (feed.started.is_set() or server.should_exit) and time.monotonic() < until:
        await asyncio.sleep(_LOOK_S)


async def _stop_without(feed: Feed, stop: Callable[[], None]) -> None:
    """Stop the service once its feed has died: its pages would stand still for ever."""
    while feed.alive:
        await asyncio.sleep(_LOOK_S)
    stop()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service: uvicorn would raise them once more when it has ended."""
        yield

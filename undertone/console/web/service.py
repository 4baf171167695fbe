"""`undertone console`: the feed's thread and the web server, until SIGTERM or Ctrl-C."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.console.web import labelling, listening
from undertone.console.web.app import application
from undertone.console.web.consumers import Consumers
from undertone.console.web.feed import Feed
from undertone.console.web.hub import Hub
from undertone.console.web.kept import Kept, keeping
from undertone.console.web.labels import Labels
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.microphones import Microphones
from undertone.console.web.models import Models
from undertone.console.web.protocol import Protocol
from undertone.console.web.reports import Reports
from undertone.console.web.settings import ConsoleSettings
from undertone.console.web.sound import Sounds
from undertone.console.web.trying import Forgetting
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.observability.telemetry import Health, Telemetry

# Open connections, of whom pages that are open are some; what comes above is answered with 503.
_CONNECTIONS = 1_000
# A message of a microphone has 20 ms of sound; at 384 kHz, int16, that is 15 KB.
_MESSAGE_BYTES = 65_536
_STARTED_S = 60.0
_LOOK_S = 0.1


def console(settings: ConsoleSettings, kafka: KafkaSettings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `say` gets `ready http://...` once the page can be opened.

    Raises:
        UserError: no Kafka, no topic, an address that cannot be had; rules that are none.
    """
    topics = Topics(kafka.topic_prefix)
    metrics, health = ConsoleMetrics(), Health()
    with (
        keeping(settings) as kept,
        _listening(settings) as listener,
        Telemetry(settings.metrics_host, settings.metrics_port, metrics.registry, health) as telemetry,
    ):
        say(f"metrics on http://{telemetry.host}:{telemetry.port}/metrics")
        with admin(kafka) as client:
            require_topics(client, topics.emotion_events)
        service = _Service(settings, kafka, topics, metrics, health, kept)
        asyncio.run(service.run(listener, lambda address: say(f"ready {address}")))


@contextlib.contextmanager
def _listening(settings: ConsoleSettings) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.create_server(address[:2], family=family, backlog=128) as listener:
            yield listener
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise UserError(f"cannot listen on {where} ({error}); choose another --port, 0 for a free one") from None


class _Service:
    """The feed and the web server, and what ends them."""

    def __init__(
        self,
        settings: ConsoleSettings,
        kafka: KafkaSettings,
        topics: Topics,
        metrics: ConsoleMetrics,
        health: Health,
        kept: Kept,
    ) -> None:
        self._settings = settings
        self._kafka = kafka
        self._topics = topics
        self._health = health
        self._metrics = metrics
        self._kept = kept
        self._feed: Feed
        self._hub: Hub
        self._server: uvicorn.Server

    async def run(self, listener: socket.socket, ready: Callable[[str], None]) -> None:
        """Serve until a signal comes, or the feed has died.

        Raises:
            RuntimeError: the feed has died; its pages would stand still for ever.
        """
        self._hub = Hub(self._settings.memory_events, lambda: self._feed.away, self._metrics)
        self._feed = Feed(
            self._kafka, self._topics.emotion_events.name, self._settings.back_s, self._metrics, self._hub.take
        )
        consumers = Consumers(self._kafka, labelling.AT_ONCE + listening.AT_ONCE)
        sounds = Sounds(consumers, self._topics.call_audio.name)
        labels = Labels(self._kafka, self._topics, consumers)
        topic, registry = self._topics.call_audio.name, self._metrics.registry
        microphones = Microphones(self._kafka, topic, registry, self._settings.microphones)
        trying = microphones, Forgetting(self._kafka, self._hub, sounds, labels)
        rest = self._kept, Models(self._kafka, Reports(self._settings.reports), self._metrics)
        app = application(self._settings, self._hub, sounds, labels, trying, self._metrics, rest)
        self._server = _Server(_http(app))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._feed.start()
        self._kept.start(self._kafka, self._topics, self._hub, self._metrics)
        try:
            await self._begun()
            host, port = listener.getsockname()[:2]
            ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            watch = asyncio.create_task(self._watch())
            await self._server.serve(sockets=[listener])
            watch.cancel()
            if not (self._feed.alive and self._kept.alive):
                raise RuntimeError("nothing is read from Kafka any more, or no alert is sent")
        finally:
            await asyncio.to_thread(self._feed.stop)
            await asyncio.to_thread(microphones.close)
            await self._kept.stop()
            await asyncio.to_thread(labels.close)
            await asyncio.to_thread(consumers.close)

    def _stop(self) -> None:
        self._hub.close()
        self._server.should_exit = True

    async def _begun(self) -> None:
        """Wait until the feed knows from where on it reads; where Kafka takes too long the page is there without it."""
        until = time.monotonic() + _STARTED_S
        while not (self._started or self._server.should_exit) and time.monotonic() < until:
            self._look()
            await asyncio.sleep(_LOOK_S)

    @property
    def _started(self) -> bool:
        return self._feed.started.is_set() and self._kept.started

    async def _watch(self) -> None:
        while self._feed.alive and self._kept.alive:
            self._look()
            await asyncio.sleep(_LOOK_S)
        self._stop()

    def _look(self) -> None:
        """Say how it goes."""
        self._health.beat()
        away = self._feed.away or self._kept.away
        self._health.ready = self._feed.started.is_set() and not away
        self._health.waits_for = away or ("" if self._feed.started.is_set() else "Kafka")


def _http(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        http=Protocol,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=3,
    )


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service: uvicorn would raise them once more when it has ended."""
        yield

"""`undertone gateway`: the wires that were asked for, side by side in one event loop, until SIGTERM."""

import asyncio
import contextlib
import logging
import math
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from producer.clock import ClockCheck
from producer.metrics import ProducerMetrics
from producer.sender import Sender
from producer.start_times import StartTimes
from schemas.errors import UserError
from schemas.topics import Topics
from undertone.gateway.addresses import Address
from undertone.gateway.audiosocket import AudioSocketWire
from undertone.gateway.calls import Calls
from undertone.gateway.folder import FolderWire
from undertone.gateway.metrics import GatewayMetrics
from undertone.gateway.names import call_names
from undertone.gateway.outbox import Outbox
from undertone.gateway.rtp.wire import RtpWire
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.wire import Started, Wire
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.observability.telemetry import Health, Telemetry

# How often the loop shows that it goes round, and looks whether all is over.
_LOOK_S = 0.25
# What waits for Kafka when all streams have ended is given this long; then the client has ten seconds for the rest.
_FLUSH_S = 20.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """Which wires to serve, and where; `calls` says who knows the calls' names."""

    audiosocket: Address | None = None
    websocket: Address | None = None
    rtp: Address | None = None
    watch: Path | None = None
    calls: str | None = None


def gateway(
    request: GatewayRequest,
    settings: GatewaySettings,
    kafka: KafkaSettings,
    started: Started,
    say: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; then running calls go on for `drain_s`, are ended, and what waits is sent.

    Raises:
        UserError: no Kafka, no topic, no wire, an address that cannot be had.
    """
    wires = _wires(request, settings)
    names = call_names(request.calls, settings.lookup_timeout_s)
    topic = Topics(kafka.topic_prefix).call_audio
    with admin(kafka) as client:
        require_topics(client, topic)
    produced = ProducerMetrics()
    metrics = GatewayMetrics(produced.registry)
    for wire in wires:
        metrics.begin(wire.name)
    health = Health()
    with contextlib.ExitStack() as stack:
        telemetry = Telemetry(settings.metrics_host, settings.metrics_port, metrics.registry, health)
        stack.enter_context(telemetry)
        say(f"metrics on http://{telemetry.host}:{telemetry.port}/metrics")
        start_times = StartTimes.of(kafka, topic.name, None, _log.warning)
        clock = ClockCheck(_log.warning)
        stopping = threading.Event()
        # It never gives up: what Kafka does not take is a gap, and the next chunk may find it back.
        sender = Sender(audio_producer(kafka), topic.name, produced, stopping.is_set, clock, math.inf)
        outbox = Outbox(sender, stopping, settings.buffer_bytes, settings.kafka_patience_s)
        stack.callback(outbox.close, _FLUSH_S)
        metrics.buffered_bytes.set_function(lambda: outbox.bytes)
        calls = Calls(settings, names, outbox, start_times, metrics)
        asyncio.run(_Service(wires, calls, outbox, health).run(started))
    if sender.failed:
        _log.error("%d chunks are not in Kafka: %s", sender.failed, sender.first_error)


def _wires(request: GatewayRequest, settings: GatewaySettings) -> list[Wire]:
    wires: list[Wire] = []
    if request.audiosocket:
        wires.append(AudioSocketWire(request.audiosocket, settings))
    if request.websocket:
        from undertone.gateway.websocket.listener import WebSocketWire  # noqa: PLC0415  it needs a package of its own

        wires.append(WebSocketWire(request.websocket, settings))
    if request.rtp:
        wires.append(RtpWire(request.rtp, settings))
    if request.watch:
        wires.append(FolderWire(request.watch, settings))
    if not wires:
        raise UserError("no wire to listen on: give --audiosocket, --websocket, --rtp or --watch")
    return wires


class _Service:
    """The wires as tasks, and what ends them."""

    def __init__(self, wires: Sequence[Wire], calls: Calls, outbox: Outbox, health: Health) -> None:
        self._wires = wires
        self._calls = calls
        self._outbox = outbox
        self._health = health
        self._stop_asked = 0

    async def run(self, started: Started) -> None:
        """Run the wires until they are to stop, or one of them fails: then all end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask)
        tasks = [asyncio.create_task(wire.run(self._calls, started), name=wire.name) for wire in self._wires]
        give_up = math.inf
        try:
            while not any(task.done() for task in tasks) and self._stop_asked < 2:
                self._look()
                if self._stop_asked and not self._calls.draining:
                    give_up = loop.time() + self._calls.settings.drain_s
                    self._calls.draining = True
                    _log.info("stopping: %d streams may go on until they end", self._calls.running)
                if self._calls.draining and (not self._calls.running or loop.time() >= give_up):
                    break
                await asyncio.wait(tasks, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._calls.close()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _look(self) -> None:
        """Say how it goes; RuntimeError where nothing is sent to Kafka any more."""
        if not self._outbox.alive:
            raise RuntimeError("nothing is sent to Kafka any more")
        self._health.beat()
        away = self._outbox.away
        self._health.ready = not (self._calls.draining or away)
        self._health.waits_for = "it stops" if self._calls.draining else "Kafka takes nothing" if away else ""

    def _ask(self) -> None:
        self._stop_asked += 1

"""What people say into the console's page, on its way to `call-audio`: the gateway's streams, with narrower bounds."""

import asyncio
import logging
import math
import re
import threading
import uuid

from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from producer.clock import ClockCheck
from producer.metrics import ProducerMetrics
from producer.sender import Sender
from producer.start_times import StartTimes
from schemas.audio import Role
from schemas.errors import UserError, one_line
from undertone.gateway.calls import Calls
from undertone.gateway.metrics import GatewayMetrics
from undertone.gateway.names import WireNames
from undertone.gateway.outbox import Outbox
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.streams import LiveStream
from undertone.messaging.clients import audio_producer
from undertone.messaging.settings import KafkaSettings

WIRE = "try"
# Their own prefix tells them from calls, and a filter finds or leaves them out.
CALL_ID = re.compile(r"try-[0-9a-f]{32}")
# A worker steps every 250 ms: half a second of sound in each chunk, as for calls, would be most of the delay.
_CHUNK_MS = 100
# A browser that was busy for a moment catches up; more is no microphone.
_BURST_S = 5.0
# What waits for a Kafka that is away: two minutes of four people.
_BUFFER_BYTES = 16_777_216
_FLUSH_S = 5.0
_log = logging.getLogger(__name__)


class Microphones:
    """Opens a stream for each; Kafka's client begins with the first one. `most` at once."""

    def __init__(self, kafka: KafkaSettings, topic: str, registry: CollectorRegistry, most: int) -> None:
        self.most = most
        self._kafka = kafka
        self._topic = topic
        self._metrics = GatewayMetrics(registry)
        self._metrics.begin(WIRE)
        self._limits = GatewaySettings.model_construct(
            chunk_ms=_CHUNK_MS, burst_s=_BURST_S, max_connections=most, max_calls=max(1, most)
        )
        self._stopping = threading.Event()
        self._beginning = asyncio.Lock()
        self._outbox: Outbox | None = None
        self._calls: Calls | None = None

    async def calls(self) -> Calls:
        """The streams that are open.

        Raises:
            Refused: Kafka is away.
        """
        async with self._beginning:
            if self._calls is None:
                try:
                    self._outbox = await asyncio.to_thread(self._begin)
                except (KafkaError, UserError, OSError) as error:
                    raise Refused(Refusal.KAFKA_AWAY, one_line(error)) from error
                # No call before had the name: nothing has to be looked up in Kafka.
                times = StartTimes(_log.warning)
                self._calls = Calls(self._limits, WireNames(), self._outbox, times, self._metrics)
                self._metrics.buffered_bytes.set_function(lambda: self._outbox.bytes if self._outbox else 0)
            return self._calls

    def close(self) -> None:
        """Send what waits, and let go of Kafka. All streams have ended."""
        if self._outbox:
            self._outbox.close(_FLUSH_S)

    def _begin(self) -> Outbox:
        producer = audio_producer(self._kafka)
        clock = ClockCheck(_log.warning)
        sender = Sender(producer, self._topic, ProducerMetrics(), self._stopping.is_set, clock, math.inf)
        return Outbox(sender, self._stopping, _BUFFER_BYTES, self._limits.kafka_patience_s)


def open_stream(calls: Calls, rate: int) -> LiveStream:
    """A stream under a name that nobody else has.

    Raises:
        Refused: Kafka is away.
    """
    return calls.open(WIRE, f"try-{uuid.uuid4().hex}", Role.CUSTOMER.value, Role.CUSTOMER, rate)

"""Chunks to Kafka: bounded in flight, every delivery accounted for."""

import math
import threading
import time
from collections.abc import Callable
from functools import partial

from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.producer.future import RecordMetadata

from producer.clock import ClockCheck
from producer.metrics import ProducerMetrics
from schemas.audio import AudioChunk
from schemas.errors import UserError
from undertone.messaging.workarounds import close_at_once

# kafka-python has no buffer_memory: without a bound a slow broker would fill our memory. 16 MiB is four minutes of
# L16 at 16 kHz for a hundred calls; 2,000 records keep the client's threads busy with small chunks.
MAX_BYTES = 16 * 1024 * 1024
MAX_RECORDS = 2000
# After this many failures in a row with nothing delivered the broker is gone for good: say so and stop.
GIVE_UP_AFTER = 200
_CLOSE_S = 2.0
# Who waits for Kafka looks this often whether it is to stop.
_LOOK_UP_S = 0.25
# After Ctrl-C a person waits this long for chunks in flight, not the two minutes of a delivery's timeout.
STOP_FLUSH_S = 10.0


class Sender:
    """Sends chunks with an idempotent producer. `delivered` and `failed` count what Kafka took and did not take.

    A chunk that Kafka did not take is a gap in its stream; the worker counts it and goes on, and so do we. Wherever it
    waits it asks `stopping`; from then on it waits no more, so that streams can be ended.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        metrics: ProducerMetrics,
        stopping: Callable[[], bool],
        clock: ClockCheck,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self.delivered = 0
        self.failed = 0
        self.first_error = ""
        self._producer = producer
        self._topic = topic
        self._metrics = metrics
        self._stopping = stopping
        self._clock = clock
        self._give_up_after = give_up_after
        self._heard_of_kafka = 0.0
        self._records = 0
        self._bytes = 0
        self._failed_in_a_row = 0
        self._changed = threading.Condition()
        # The client learns of a topic at its first chunk, and waits up to a minute where no signal is seen: learn now.
        producer.partitions_for(topic)

    @property
    def silent_s(self) -> float:
        """How long Kafka has taken nothing, though something is in flight."""
        with self._changed:
            return time.monotonic() - self._heard_of_kafka if self._records else 0.0

    def send(
        self, chunk: AudioChunk, *, source: str = "/undertone/producer", settled: Callable[[bool], None] | None = None
    ) -> None:
        """Hand one chunk to the client; waits while too much is in flight. `settled` is told whether Kafka took it.

        Raises:
            UserError: Kafka has refused so many chunks in a row that going on makes no sense.
        """
        size = len(chunk.audio)
        with self._changed:
            # Once it is to stop, the piece in hand and the streams' ends go beyond the bound.
            while (self._records >= MAX_RECORDS or self._bytes >= MAX_BYTES) and not self._stopping():
                self._changed.wait(_LOOK_UP_S)
            if self._failed_in_a_row >= self._give_up_after:
                raise UserError(f"Kafka took none of the last {self._failed_in_a_row} chunks: {self.first_error}")
            if not self._records:
                self._heard_of_kafka = time.monotonic()
            self._records += 1
            self._bytes += size
        try:
            future = self._producer.send(
                self._topic, value=chunk.audio, key=chunk.stream.encode(), headers=chunk.headers(source)
            )
        except KafkaError as error:
            self._lost(size, settled, error)
            return
        except BaseException:
            self._leave_flight(size)
            raise
        future.add_callback(partial(self._took, size, settled, time.monotonic(), time.time()))
        future.add_errback(partial(self._lost, size, settled))

    def flush(self) -> None:
        """Wait until everything in flight is delivered or has failed; once it is to stop, 10 s at most."""
        give_up = math.inf
        with self._changed:
            while self._records:
                now = time.monotonic()
                if math.isinf(give_up) and self._stopping():
                    give_up = now + STOP_FLUSH_S
                if now >= give_up:
                    self.first_error = self.first_error or f"no answer within {STOP_FLUSH_S:.0f} s"
                    return
                self._changed.wait(_LOOK_UP_S)

    def close(self) -> None:
        """Let go of the client. What is still in flight has failed; `delivered` and `failed` are final now."""
        close_at_once(self._producer, _CLOSE_S)
        with self._changed:
            # The last batch's callbacks may still be running in the client's thread.
            self._changed.wait_for(lambda: not self._records, _CLOSE_S)

    def _took(
        self, size: int, settled: Callable[[bool], None] | None, sent: float, sent_at: float, metadata: RecordMetadata
    ) -> None:
        self._metrics.delivered(size, time.monotonic() - sent)
        self._clock.took(sent_at, time.time(), metadata.timestamp)
        with self._changed:
            self.delivered += 1
            self._heard_of_kafka = time.monotonic()
            self._failed_in_a_row = 0
            self._leave_flight(size)
        if settled:
            settled(True)

    def _lost(self, size: int, settled: Callable[[bool], None] | None, error: Exception) -> None:
        self._metrics.failed(type(error).__name__)
        if settled:
            settled(False)
        with self._changed:
            self.failed += 1
            self._failed_in_a_row += 1
            self.first_error = self.first_error or describe(error)
            self._leave_flight(size)

    def _leave_flight(self, size: int) -> None:
        with self._changed:
            self._records -= 1
            self._bytes -= size
            self._changed.notify()


def describe(error: Exception) -> str:
    """A Kafka error as one short line: its kind, and what the client adds."""
    text = str(error).splitlines()[0].strip() if str(error) else ""
    name = type(error).__name__
    return text if name in text else f"{name}: {text}".rstrip(": ")

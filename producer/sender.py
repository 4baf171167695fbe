"""Chunks to Kafka: bounded in flight, every delivery accounted for."""

import threading
import time
from functools import partial

from kafka import KafkaProducer
from kafka.errors import KafkaError

from producer.metrics import Metrics
from schemas.audio import AudioChunk
from schemas.errors import UserError

# kafka-python has no buffer_memory: without a bound a slow broker would fill our memory. 16 MiB is four minutes of
# L16 at 16 kHz for a hundred calls; 2,000 records keep the client's threads busy with small chunks.
MAX_BYTES = 16 * 1024 * 1024
MAX_RECORDS = 2000
# After this many failures in a row with nothing delivered the broker is gone for good: say so and stop.
GIVE_UP_AFTER = 200


class Sender:
    """Sends chunks with an idempotent producer. `delivered` and `failed` count what Kafka took and did not take.

    A chunk that Kafka did not take is a gap in its stream; the worker counts it and goes on, and so do we.
    """

    def __init__(self, producer: KafkaProducer, topic: str, metrics: Metrics) -> None:
        self.delivered = 0
        self.failed = 0
        self.first_error = ""
        self._producer = producer
        self._topic = topic
        self._metrics = metrics
        self._records = 0
        self._bytes = 0
        self._failed_in_a_row = 0
        self._changed = threading.Condition()

    def send(self, chunk: AudioChunk) -> None:
        """Hand one chunk to the client; waits while too much is in flight.

        Raises:
            UserError: Kafka has refused so many chunks in a row that going on makes no sense.
        """
        size = len(chunk.audio)
        with self._changed:
            while self._records >= MAX_RECORDS or self._bytes >= MAX_BYTES:
                self._changed.wait()
            if self._failed_in_a_row >= GIVE_UP_AFTER:
                raise UserError(f"Kafka took none of the last {self._failed_in_a_row} chunks: {self.first_error}")
            self._records += 1
            self._bytes += size
        try:
            future = self._producer.send(
                self._topic, value=chunk.audio, key=chunk.stream.encode(), headers=chunk.headers()
            )
        except KafkaError as error:
            self._lost(size, error)
            return
        except BaseException:
            self._leave_flight(size)
            raise
        sent = time.monotonic()
        future.add_callback(partial(self._took, size, sent))
        future.add_errback(partial(self._lost, size))

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything in flight is delivered or has failed, at most `timeout_s`; the rest then failed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaError as error:
            self.first_error = self.first_error or describe(error)
        # The client's flush returns before the callbacks of the last batch have run.
        with self._changed:
            while self._records and (deadline is None or time.monotonic() < deadline):
                self._changed.wait(0.1)
            if self._records:
                self.failed += self._records
                self.first_error = self.first_error or f"no answer within {timeout_s:.0f} s"

    def _took(self, size: int, sent: float, _metadata: object) -> None:
        self._metrics.delivered(size, time.monotonic() - sent)
        with self._changed:
            self.delivered += 1
            self._failed_in_a_row = 0
            self._leave_flight(size)

    def _lost(self, size: int, error: Exception) -> None:
        self._metrics.failed(type(error).__name__)
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

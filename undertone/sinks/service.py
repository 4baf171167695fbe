"""A sink as a service: one membership of its group after another, until it is told to stop.

After any failure the clients and all that was read and not written are thrown away, and a new membership begins at the
positions that were kept: nothing of a failed batch can be written a second time.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from uuid import UUID

from kafka import KafkaConsumer
from kafka.errors import AuthorizationError, KafkaError, UnsupportedCodecError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.messaging.clients import KafkaAway, admin, group_consumer
from undertone.messaging.letters import Letters
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.messaging.workarounds import has_joined, learn_partitions
from undertone.observability.telemetry import Health
from undertone.sinks.buffer import Buffer
from undertone.sinks.loop import Loop
from undertone.sinks.metrics import SinkMetrics
from undertone.sinks.partitions import Partitions
from undertone.sinks.settings import SinkSettings
from undertone.sinks.start_offset import StartOffsets
from undertone.sinks.target import Fenced, Limits, Source, Target
from undertone.storage.store import StoreAway

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_JOIN_POLL_MS = 20
_CLOSE_MS = 5_000
# One answer in hand and one on its way bound the memory.
_FETCH_BYTES = 8 * 1024 * 1024
# How soon new partitions are known; the client's own is five minutes.
_METADATA_MS = 60_000


class SinkService:
    """Carries events from Kafka to a target, from `run` until `stop` is called."""

    def __init__(
        self, kafka: KafkaSettings, settings: SinkSettings, target: Target, metrics: SinkMetrics, *, updates: bool
    ) -> None:
        self._kafka = kafka
        self._settings = settings
        self._target = target
        self._updates = updates
        self.metrics = metrics
        self.health = Health(waits_for="Kafka")
        self._stop = threading.Event()
        self._start_offsets = StartOffsets(metrics, drops_repeats=target.drops_repeats)
        self._pause_s = _FIRST_PAUSE_S
        self._announced = False

    def stop(self) -> None:
        """Write what has been read, and return from `run`. Safe to call from another thread."""
        self._stop.set()

    def run(self, on_ready: Callable[[list[int]], None]) -> None:
        """Work. `on_ready` is called with the partitions once they are first being read.

        Raises:
            UserError: no Kafka or no target for `sink_wait_s` at the start, a topic that is missing, rights that are
                missing, a target that refuses.
        """
        began = time.monotonic()
        with ThreadPoolExecutor(1, "target") as thread:
            while not self._stopping():
                try:
                    self._run_session(thread, on_ready)
                except (AuthorizationError, UnsupportedCodecError) as error:
                    raise UserError(f"Kafka does not allow it: {error}") from error
                except (KafkaAway, KafkaError, StoreAway, Fenced) as error:
                    if not self._announced and time.monotonic() - began > self._settings.sink_wait_s:
                        raise UserError(str(error)) from error
                    self._after(error)
                finally:
                    self.health.ready = False
            thread.submit(self._target.close).result()

    def _stopping(self) -> bool:
        """Whether to stop. Whoever asks is turning: all that waits asks once in a while."""
        self.health.beat()
        return self._stop.is_set()

    def _run_session(self, thread: ThreadPoolExecutor, on_ready: Callable[[list[int]], None]) -> None:
        place = thread.submit(self._target.open).result()
        topics = Topics(self._kafka.topic_prefix)
        source = self._source(topics)
        group = f"{self._kafka.topic_prefix}undertone-sink-{self._target.name.lower()}-{place}"
        with ExitStack() as leaving:
            consumer = self._consumer(group)
            leaving.callback(_close, consumer)
            letters = leaving.enter_context(closing(self._letters(topics)))
            partitions = Partitions(consumer, self.metrics)
            buffer = Buffer(self._limits(), updates=self._updates)
            loop = Loop(
                consumer,
                partitions,
                self._target,
                source,
                buffer,
                letters,
                self._start_offsets,
                thread,
                self.health,
                self.metrics,
                self._stopping,
            )
            self.metrics.sessions.inc()
            consumer.subscribe([source.topic], listener=partitions)
            self._join(consumer, source)
            while not self._stopping():
                if loop.run_once():
                    self._pause_s = _FIRST_PAUSE_S
                self._tell(partitions, on_ready)
            loop.finish()

    def _join(self, consumer: KafkaConsumer, source: Source) -> None:
        learn_partitions(consumer, source.topic)
        self.health.waits_for = "its partitions"
        while not self._stopping() and not has_joined(consumer):
            consumer.poll(timeout_ms=_JOIN_POLL_MS)

    def _tell(self, partitions: Partitions, on_ready: Callable[[list[int]], None]) -> None:
        self.health.ready = not partitions.unclaimed
        self.health.waits_for = "its partitions" if partitions.unclaimed else ""
        if self.health.ready and not self._announced:
            self._announced = True
            on_ready([partition.partition for partition in partitions.read])

    def _after(self, error: Exception) -> None:
        kafka = isinstance(error, KafkaError | KafkaAway)
        self.metrics.error("kafka" if kafka else "target", error)
        what = f"{type(error).__name__}: {error}" if isinstance(error, KafkaError) else str(error)
        self.health.waits_for = f"{'Kafka' if kafka else self._target.name}, which does not answer"
        pause_s = self._pause_s * random.uniform(0.75, 1.25)  # noqa: S311  so that many do not come at once
        log.warning("%s; trying again in %.1f s", what, pause_s)
        self._stop.wait(pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _source(self, topics: Topics) -> Source:
        with closing(admin(self._kafka)) as client:
            require_topics(client, topics.emotion_events, topics.dead_letters)
            # Of all topics: asked for one by name, a broker might create it.
            ids = {topic["name"]: UUID(str(topic["topic_id"])) for topic in client.describe_topics()}
        return Source(topics.emotion_events.name, ids[topics.emotion_events.name])

    def _letters(self, topics: Topics) -> Letters:
        return Letters(
            self._kafka,
            topics.dead_letters.name,
            f"sink {self._target.name}",
            lambda reason: self.metrics.dead_letters.labels(reason).inc(),
            lambda error: self.metrics.error("kafka", error),
        )

    def _consumer(self, group: str) -> KafkaConsumer:
        session_ms = int(self._settings.sink_session_timeout_s * 1000)
        return group_consumer(
            self._kafka,
            group,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            fetch_max_bytes=_FETCH_BYTES,
            metadata_max_age_ms=_METADATA_MS,
            auto_offset_reset="none",  # `StartOffsets` decides, and says what is lost
        )

    def _limits(self) -> Limits:
        settings, own = self._settings, self._target.limits
        return Limits(
            settings.sink_batch_records or own.records,
            settings.sink_batch_bytes or own.bytes,
            own.seconds if settings.sink_batch_s is None else settings.sink_batch_s,
        )


def _close(consumer: KafkaConsumer) -> None:
    try:
        consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)
    except KafkaError as error:
        log.warning("while leaving: %s", error)

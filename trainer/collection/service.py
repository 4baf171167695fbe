"""The collector as a service: it reads `emotion-labels` from where the dataset ends, until it is told to stop.

It is in no group that shares partitions out: one process reads all of them, for people label some thousands of times a
day at most. Two at the same dataset do the same work twice, and the dataset has each label once all the same. After any
failure the clients are thrown away, and it goes on behind the dataset's last entry.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import AuthorizationError, KafkaError, UnsupportedCodecError

from schemas.errors import UserError
from schemas.topics import Topics
from trainer.collection.collector import Collector
from trainer.collection.dataset import Dataset
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.settings import TrainerSettings
from undertone.messaging.clients import KafkaAway, admin, reader
from undertone.messaging.dead_letters import unreadable
from undertone.messaging.fetched_records import UnreadableRecordsError
from undertone.messaging.letters import Letters
from undertone.messaging.reading import UnfinishedRead, end_offsets, partitions_of
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.observability.telemetry import Health
from undertone.storage.store import StoreAway

log = logging.getLogger(__name__)

_POLL_MS = 500
# So many labels are looked at together: one search for all their events.
_POLL_RECORDS = 100
_ANSWER_MS = 10_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0


class CollectorService:
    """Carries labels and their audio from Kafka to a dataset, from `run` until `stop` is called."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: TrainerSettings,
        dataset: Dataset,
        metrics: CollectorMetrics,
        out: Path | None = None,
    ) -> None:
        """`out` is the trainer's folder, whose reports forget a call as the dataset does."""
        self._kafka = kafka
        self._settings = settings
        self._dataset = dataset
        self._out = out
        self._topics = Topics(kafka.topic_prefix)
        self.metrics = metrics
        self.health = Health(waits_for="Kafka")
        self._stop = threading.Event()
        self._pause_s = _FIRST_PAUSE_S
        self._announced = False

    def stop(self) -> None:
        """Finish the label at hand, and return from `run`. Safe to call from another thread."""
        self._stop.set()

    def run(self, on_ready: Callable[[], None], *, until_end: bool = False) -> bool:
        """Work. `on_ready` is called once labels are being read. Returns False where it was told to stop.

        Args:
            until_end: return when all labels are kept that were there at the start.

        Raises:
            UserError: no Kafka or no store for `trainer_wait_s` at the start, a topic or rights that are missing, a
                place that cannot be a dataset.
        """
        began = time.monotonic()
        while not self._stopping():
            try:
                if self._run_session(on_ready, until_end=until_end):
                    return True
            except UnfinishedRead:
                return False
            except (AuthorizationError, UnsupportedCodecError) as error:
                raise UserError(f"Kafka does not allow it: {error}") from error
            except (KafkaAway, KafkaError, StoreAway) as error:
                if not self._announced and time.monotonic() - began > self._settings.trainer_wait_s:
                    raise UserError(str(error)) from error
                self._after(error)
            finally:
                self.health.ready = False
        return False

    def _stopping(self) -> bool:
        """Whether to stop. Whoever asks is turning: all that waits asks once in a while."""
        self.health.beat()
        return self._stop.is_set()

    def _run_session(self, on_ready: Callable[[], None], *, until_end: bool) -> bool:
        """Read for as long as nothing changes. Returns whether all is kept that was asked for."""
        place = self._dataset.create()
        topic = self._topics.emotion_labels.name
        topic_id = self._topic_id()
        with ExitStack() as leaving:
            # The group is for people and their tools, who ask it for the lag: positions lie in the dataset.
            group = f"{self._kafka.topic_prefix}undertone-trainer-{place}"
            consumer = leaving.enter_context(closing(reader(self._kafka, group_id=group, auto_offset_reset="earliest")))
            client = leaving.enter_context(closing(reader(self._kafka)))
            letters = leaving.enter_context(closing(self._letters()))
            collector = Collector(
                self._dataset,
                self._topics,
                topic_id,
                client,
                letters,
                self.metrics,
                self._stopping,
                agents=self._settings.analyze_agent,
                out=self._out,
            )
            partitions = partitions_of(consumer, topic)
            ends = end_offsets(self._kafka, partitions)
            self._go_on(consumer, topic_id, partitions)
            self.metrics.sessions.inc()
            self._tell_ready(on_ready)
            while not self._stopping():
                self._run_once(consumer, collector)
                positions = {it: consumer.position(it) for it in partitions}
                self._tell_lag(consumer, positions)
                if until_end and all(positions[it] >= end for it, end in ends.items()):
                    return True
                if set(partitions_of(consumer, topic)) != set(partitions):
                    log.info("%s has other partitions: reading all of them", topic)
                    break
        return False

    def _run_once(self, consumer: KafkaConsumer, collector: Collector) -> None:
        try:
            polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        except UnreadableRecordsError as error:
            collector.reject(*unreadable(error))
            consumer.seek(error.partition, error.next_offset)
            return
        if not polled:
            return
        collector.take([record for records in polled.values() for record in records])
        behind = {partition: OffsetAndMetadata(records[-1].offset + 1, "", -1) for partition, records in polled.items()}
        # Behind the dataset: whatever dies before this line, the group never claims more than what is kept.
        consumer.commit(behind, timeout_ms=_ANSWER_MS)
        self._pause_s = _FIRST_PAUSE_S

    def _go_on(self, consumer: KafkaConsumer, topic_id: UUID, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        firsts = consumer.beginning_offsets(partitions, timeout_ms=_ANSWER_MS)
        for partition in partitions:
            kept = self._dataset.position(topic_id, partition.partition)
            consumer.seek(partition, firsts[partition] if kept is None else kept)

    def _topic_id(self) -> UUID:
        """Tells the topic from one of the same name that was deleted, or lies in another cluster."""
        topics = self._topics
        with closing(admin(self._kafka)) as client:
            require_topics(client, topics.emotion_labels, topics.emotion_events, topics.call_audio, topics.dead_letters)
            # Of all topics: asked for one by name, a broker might create it.
            ids = {topic["name"]: UUID(str(topic["topic_id"])) for topic in client.describe_topics()}
        return ids[topics.emotion_labels.name]

    def _letters(self) -> Letters:
        return Letters(
            self._kafka,
            self._topics.dead_letters.name,
            "trainer",
            lambda reason: self.metrics.dead_letters.labels(reason).inc(),
            lambda error: self.metrics.error("kafka", error),
        )

    def _tell_ready(self, on_ready: Callable[[], None]) -> None:
        self.health.ready, self.health.waits_for = True, ""
        if not self._announced:
            self._announced = True
            on_ready()

    def _tell_lag(self, consumer: KafkaConsumer, positions: dict[TopicPartition, int]) -> None:
        for partition, place in positions.items():
            end = consumer.highwater(partition)
            if end is not None:
                self.metrics.lag.labels(str(partition.partition)).set(max(0, end - place))

    def _after(self, error: Exception) -> None:
        kafka = isinstance(error, KafkaError | KafkaAway)
        self.metrics.error("kafka" if kafka else "store", error)
        what = f"{type(error).__name__}: {error}" if isinstance(error, KafkaError) else str(error)
        self.health.waits_for = f"{'Kafka' if kafka else 'the dataset'}, which does not answer"
        pause_s = self._pause_s * random.uniform(0.75, 1.25)  # noqa: S311  so that many do not come at once
        log.warning("%s; trying again in %.1f s", what, pause_s)
        self._stop.wait(pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

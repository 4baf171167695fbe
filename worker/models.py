"""The model in use: a pinned bundle, or the newest of the `models` topic, at start and while the worker runs."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import closing

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import Reason, Rejected
from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.model import Model
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

# At start the newest bundle that can be used is taken; this many are looked at, 4 MB each.
_CANDIDATES = 3

Letters = list[tuple[ConsumerRecord, Rejected]]


class ModelFeed:
    """Follows the topic with a reader of its own, outside of the group: every worker reads it whole.

    Without the settings of a Kafka to follow, `current` stays what it is.
    """

    def __init__(self, current: Model, metrics: WorkerMetrics, kafka: KafkaSettings | None = None) -> None:
        self.current = current
        self._kafka = kafka
        self._reader = reader(kafka, auto_offset_reset="earliest") if kafka else None
        self._metrics = metrics

    @classmethod
    def following(cls, kafka: KafkaSettings, metrics: WorkerMetrics) -> "ModelFeed":
        """Start from the newest bundle on `models` that can be used, or from the one that ships.

        Raises:
            UserError: no Kafka, or no such topic.
        """
        feed = cls(Model.load(), metrics, kafka)
        for record in reversed(deque(_bundles(kafka, feed._reader), maxlen=_CANDIDATES)):
            loaded = _load(record, metrics)
            if isinstance(loaded, Model):
                feed.current = loaded
                break
        return feed

    def find(self, version: str) -> Model | None:
        """The model that a stream's state belongs to, if it ships or is still on the topic."""
        shipped = read_bundle(DEFAULT_BUNDLE)
        if shipped.card.version == version:
            return Model.load()
        if self._kafka is None:
            return None
        # Not with the reader that follows: what it has not seen yet is still to be taken up.
        with closing(reader(self._kafka)) as client:
            found = [record for record in _bundles(self._kafka, client) if record.key == version.encode()]
        loaded = _load(found[-1], self._metrics) if found else None
        return loaded if isinstance(loaded, Model) else None

    def poll(self) -> Letters:
        """Make the newest of what has been published since the last call `current`; returns what cannot be used."""
        letters: Letters = []
        records = self._reader.poll(timeout_ms=0) if self._reader else {}
        for record in (record for some in records.values() for record in some):
            if record.value is None:  # a version is withdrawn; if it is in use it stays so
                continue
            loaded = _load(record, self._metrics)
            if isinstance(loaded, Model):
                self.current = loaded
            else:
                letters.append((record, loaded))
        return letters

    def close(self) -> None:
        """Stop following."""
        if self._reader:
            self._reader.close()


def _bundles(kafka: KafkaSettings, client: KafkaConsumer) -> Iterator[ConsumerRecord]:
    """Every bundle on the topic as it is now. The client is left at its end."""
    partitions = partitions_of(client, Topics(kafka.topic_prefix).models.name)
    for record in read_to_end(kafka, client, partitions):
        if record.value is not None:
            yield record


def _load(record: ConsumerRecord, metrics: WorkerMetrics) -> Model | Rejected:
    try:
        model = Model.load(record.value)
    except UserError as error:
        metrics.models.labels("invalid").inc()
        log.error("models, offset %d: %s; it is not used", record.offset, error)
        return Rejected(Reason.INVALID_MODEL, str(error))
    metrics.models.labels("loaded").inc()
    log.info("model %s, from offset %d of models", model.card.version, record.offset)
    return model

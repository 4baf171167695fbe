"""The model in use: a pinned bundle, or the newest of the `models` topic, at start and while the worker runs."""

import logging
from collections import deque

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from inference.model import Model
from schemas.dead_letters import Reason, Rejected
from schemas.errors import UserError
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

# At start the newest bundle that can be used is taken; this many are looked at, 4 MB each.
_CANDIDATES = 3
_POLL_MS = 500

Letters = list[tuple[ConsumerRecord, Rejected]]


class ModelFeed:
    """Follows the topic with a reader of its own, outside of the group: every worker reads it whole.

    Without a reader, `current` stays what it is.
    """

    def __init__(self, current: Model, metrics: WorkerMetrics, reader: KafkaConsumer | None = None) -> None:
        self.current = current
        self._reader = reader
        self._metrics = metrics

    @classmethod
    def following(cls, reader: KafkaConsumer, topic: str, metrics: WorkerMetrics) -> "ModelFeed":
        """Start from the newest bundle on `topic` that can be used, or from the one that ships."""
        partitions = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic))]
        reader.assign(partitions)
        reader.seek_to_beginning()
        for record in reversed(_to_the_end(reader, partitions)):
            loaded = _load(record, metrics)
            if isinstance(loaded, Model):
                return cls(loaded, metrics, reader)
        return cls(Model.load(), metrics, reader)

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


def _to_the_end(reader: KafkaConsumer, partitions: list[TopicPartition]) -> deque[ConsumerRecord]:
    last: deque[ConsumerRecord] = deque(maxlen=_CANDIDATES)
    ends = reader.end_offsets(partitions)
    while any((reader.position(partition) or 0) < end for partition, end in ends.items()):
        for records in reader.poll(timeout_ms=_POLL_MS).values():
            last.extend(record for record in records if record.value is not None)
    return last


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

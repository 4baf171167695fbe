"""The model in use: a pinned bundle, or the newest of the `models` topic, at start and while the worker runs."""

import logging
from collections import deque
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import Reason, Rejected
from schemas.errors import UserError
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.model import Model
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
        reader.assign([TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic))])
        for record in reversed(deque(_all(reader), maxlen=_CANDIDATES)):
            loaded = _load(record, metrics)
            if isinstance(loaded, Model):
                return cls(loaded, metrics, reader)
        return cls(Model.load(), metrics, reader)

    def find(self, version: str) -> Model | None:
        """The model that a stream's state belongs to, if it ships or is still on the topic."""
        shipped = read_bundle(DEFAULT_BUNDLE)
        if shipped.card.version == version:
            return Model.load()
        if self._reader is None:
            return None
        positions = {partition: self._reader.position(partition) for partition in self._reader.assignment()}
        found = [record for record in _all(self._reader) if record.key == version.encode()]
        for partition, position in positions.items():
            self._reader.seek(partition, position)
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


def _all(reader: KafkaConsumer) -> Iterator[ConsumerRecord]:
    """Every bundle on the topic as it is now. The reader is left at its end."""
    reader.seek_to_beginning()
    ends = reader.end_offsets(list(reader.assignment()))
    while any((reader.position(partition) or 0) < end for partition, end in ends.items()):
        for records in reader.poll(timeout_ms=_POLL_MS).values():
            yield from (record for record in records if record.value is not None)


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

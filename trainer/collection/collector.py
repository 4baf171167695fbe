"""From records of `emotion-labels` to entries of the dataset."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from numpy.typing import NDArray

from schemas.dead_letters import Reason, Rejected
from schemas.events import NO_SPEECH, UNCERTAIN, EventEnvelope
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry, State
from trainer.collection.erasure import erase
from trainer.collection.event_search import find_events
from trainer.collection.metrics import REPEATED, CollectorMetrics
from trainer.data.stretches import read_label, samples_of, stretch_of
from undertone.messaging.letters import Letters
from undertone.messaging.reading import UnfinishedRead

log = logging.getLogger(__name__)

_LATEST_S = 253_402_300_799  # the last second of the year 9999: a sender's clock may say anything
_RESERVED = {UNCERTAIN, NO_SPEECH}


class Collector:
    """Takes records and returns when the dataset has them.

    Args:
        client: a reader for audio and events, which may be assigned anything.
        stopping: whether to leave off; what was not taken is read again.
        agents: whether agents' audio is kept.
        out: the trainer's folder, whose reports forget a call as the dataset does.
    """

    def __init__(
        self,
        dataset: Dataset,
        topics: Topics,
        topic_id: UUID,
        client: KafkaConsumer,
        letters: Letters,
        metrics: CollectorMetrics,
        stopping: Callable[[], bool],
        *,
        agents: bool,
        out: Path | None = None,
    ) -> None:
        self._dataset = dataset
        self._topics = topics
        self._topic_id = topic_id
        self._client = client
        self._letters = letters
        self._metrics = metrics
        self._stopping = stopping
        self._agents = agents
        self._out = out

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Keep what records say, in their order.

        Raises:
            KafkaError, StoreAway: one of the two does not answer; what was taken is kept.
            UnfinishedRead: it is to stop.
        """
        # First what is to be forgotten: a label of it in the same poll is not fetched at all.
        for record in records:
            if record.value is None and record.key:
                self._forget(record.key.decode(errors="replace"))
        labels = {id(record): _read(record) for record in records if record.value is not None}
        events = self._find_events(labels)
        for record in records:
            if self._stopping():
                raise UnfinishedRead
            began = time.monotonic()
            self._take(record, labels.get(id(record)), events)
            self._metrics.seconds.observe(time.monotonic() - began)

    def reject(self, record: ConsumerRecord, rejected: Rejected) -> None:
        """Set a record aside that cannot be used."""
        self._reject(record, None, rejected)

    def _take(
        self,
        record: ConsumerRecord,
        label: LabelEnvelope | Rejected | None,
        events: Mapping[str, EventEnvelope],
    ) -> None:
        if label is None:
            self._keep(_entry(record, State.TOMBSTONE), _call_of(record, label))
        elif self._dataset.is_forgotten(*_names(record, label)):
            self._keep(_entry(record, State.FORGOTTEN), _call_of(record, label))
        elif isinstance(label, Rejected):
            self._reject(record, label, label)
        else:
            try:
                self._fetch(record, label, events.get(label.data.event_id or ""))
            except Rejected as rejected:
                self._reject(record, label, rejected)

    def _reject(self, record: ConsumerRecord, label: LabelEnvelope | Rejected | None, why: Rejected) -> None:
        self._letters.send([(record, why)])
        self._keep(_entry(record, State.REJECTED, reason=why.reason), _call_of(record, label))

    def _fetch(self, record: ConsumerRecord, label: LabelEnvelope, event: EventEnvelope | None) -> None:
        stretch = stretch_of(label.data, event)
        samples = samples_of(self._client, self._topics, stretch, self._stopping, agents=self._agents)
        heard_by = label.data.model_version or (event.data.model_version if event else None)
        state = State.EXPIRED if samples is None else State.COLLECTED
        entry = _entry(record, state, label=label, stretch=stretch, heard_by=heard_by)
        if self._keep(entry, label.data.call_id, samples) and samples is not None:
            self._metrics.audio_seconds.inc(len(samples) / stretch.rate)

    def _keep(self, entry: Entry, call_id: str, samples: NDArray[np.int16] | None = None) -> bool:
        new = self._dataset.add(self._topic_id, call_id, entry, samples)
        self._metrics.labels.labels(entry.state if new else REPEATED).inc()
        return new

    def _forget(self, key: str) -> None:
        erased = erase(self._dataset, key, self._out)
        log.info(
            "a call is forgotten: %d labels deleted, of %d snapshots; %d files of reports rewritten",
            erased.labels,
            erased.snapshots,
            erased.reports,
        )
        if erased.models:
            log.warning("a call that was forgotten is in the training data of %s", ", ".join(erased.models))

    def _find_events(self, labels: Mapping[int, LabelEnvelope | Rejected]) -> dict[str, EventEnvelope]:
        said = [label.data for label in labels.values() if isinstance(label, LabelEnvelope)]
        wanted = {data.event_id: f"{data.call_id}/{data.channel}" for data in said if data.event_id and _lacks(data)}
        return find_events(self._client, self._topics.emotion_events.name, wanted, self._stopping)


def _read(record: ConsumerRecord) -> LabelEnvelope | Rejected:
    try:
        label = read_label(record)
    except Rejected as rejected:
        return rejected
    if label.data.emotion in _RESERVED:
        return Rejected(Reason.INVALID_LABEL, f"{label.data.emotion} is what a model says, and no emotion")
    return label


def _lacks(label: EmotionLabel) -> bool:
    """Whether a label leaves something to its event."""
    fields = (label.start_sample, label.end_sample, label.sample_rate, label.audio, label.model_version)
    return None in fields


def _names(record: ConsumerRecord, label: LabelEnvelope | Rejected) -> Iterator[str]:
    """What a tombstone may call a label's call and stream: by the record's key, and by what the label says."""
    streams = {(record.key or b"").decode(errors="replace")}
    if isinstance(label, LabelEnvelope):
        streams.add(f"{label.data.call_id}/{label.data.channel}")
    for stream in streams:
        yield stream
        yield stream.partition("/")[0]


def _call_of(record: ConsumerRecord, label: LabelEnvelope | Rejected | None) -> str:
    """The call that a record is about: by what the label says, or else by the record's key."""
    if isinstance(label, LabelEnvelope):
        return label.data.call_id
    return (record.key or b"").decode(errors="replace").partition("/")[0]


def _entry(record: ConsumerRecord, state: State, **fields: object) -> Entry:
    seconds = min(max((record.timestamp or 0) / 1000, 0), _LATEST_S)
    return Entry.model_validate(
        {
            "state": state,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "received": datetime.fromtimestamp(seconds, UTC),
        }
        | fields
    )

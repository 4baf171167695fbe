"""Events and labels into the history, as they come and from as far back as the topics reach."""

import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.events import EventEnvelope, Update
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from undertone.console.web.entries import entry_of
from undertone.console.web.follower import Reach
from undertone.console.web.history.store import Past, Store

# The topic's retention is looked at so often; Kafka itself looks every five minutes.
_PRUNE_S = 60.0
_ANSWER_MS = 2_000
# Four of five events are updates, and none of them is kept: 15 us each that is not spent on reading them.
_UPDATE = b'"type":"undertone.emotion.update.v1"'


class Following:
    """Lives in its follower's thread. `forgotten` gets a call that is to be forgotten, and when that was said, ms."""

    def __init__(self, store: Store, topics: Topics, forgotten: Callable[[str, int], None]) -> None:
        self._store = store
        self._events = topics.emotion_events.name
        self._labels = topics.emotion_labels.name
        self._forgotten = forgotten
        self._consumer: KafkaConsumer | None = None
        self._kept: dict[tuple[str, int], int] = {}
        self._pruned = 0.0

    def begin(
        self, consumer: KafkaConsumer, reaches: Mapping[TopicPartition, Reach], ids: Mapping[str, str]
    ) -> dict[TopicPartition, int]:
        """From where it stood, else from the start."""
        self._consumer = consumer
        kept = self._store.begin(ids)
        found = {}
        for one, reach in reaches.items():
            clipped = reach.clip(kept.get((one.topic, one.partition)))
            found[one] = reach.first if clipped is None else clipped
        self._kept = {(one.topic, one.partition): position for one, position in found.items()}
        return found

    def take(self, records: Sequence[ConsumerRecord], positions: Mapping[TopicPartition, int], *, live: bool) -> None:
        """Keep what was read."""
        read = {(one.topic, one.partition): position for one, position in positions.items()}
        if records:
            past = [found for record in records if record.topic == self._events and (found := _past(record))]
            labels, forgotten = self._labelled([record for record in records if record.topic == self._labels])
            self._store.keep(
                past, labels, forgotten, {one: at for one, at in read.items() if at != self._kept.get(one)}
            )
            self._kept = read
            for call, at_ms in forgotten:
                self._forgotten(call, at_ms)
        if live and time.monotonic() - self._pruned > _PRUNE_S:
            self._prune()

    def _labelled(
        self, records: Sequence[ConsumerRecord]
    ) -> tuple[list[tuple[EmotionLabel, int]], list[tuple[str, int]]]:
        labels, forgotten = [], []
        for record in records:
            if record.value is None:
                forgotten.append((bytes(record.key or b"").decode(errors="replace"), record.timestamp))
                continue
            try:
                labels.append((LabelEnvelope.model_validate_json(record.value).data, record.timestamp))
            except ValidationError:
                continue  # what is none is told by the collector
        return labels, forgotten

    def _prune(self) -> None:
        self._pruned = time.monotonic()
        if self._consumer is None:
            return
        partitions = [one for one in self._consumer.assignment() if one.topic == self._events]
        try:
            firsts = self._consumer.beginning_offsets(partitions, timeout_ms=_ANSWER_MS)
        except (KafkaError, KeyError):  # as in `ends_that_answer`; the next time does as well
            return
        self._store.prune({one.partition: first for one, first in firsts.items()})


def _past(record: ConsumerRecord) -> Past | None:
    if record.value is None or _UPDATE in record.value:
        return None
    try:
        envelope = EventEnvelope.model_validate_json(record.value)
    except ValidationError:
        return None
    entry = entry_of(record)
    if entry is None or isinstance(envelope.data, Update):
        return None
    return Past(entry, envelope.data, round(envelope.time.timestamp() * 1000))

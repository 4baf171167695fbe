"""What people say that an event sounds like: written to `emotion-labels`, and remembered while it is fresh."""

import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.errors import UserError
from schemas.events import STRUCTURED_HEADERS, EventEnvelope
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from undertone.console.web.consumers import ANSWER_MS, Away, Consumers
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

# Kafka takes a label within so long, or it is not sent at all.
_REQUEST_MS, _DELIVERY_MS = 8_000, 10_000
_POLLS = 20
_REMEMBERED = 10_000


class NoEvent(Exception):
    """There is no event at this place, or none any more."""


@dataclass(frozen=True, slots=True)
class Said:
    """A label that Kafka has, of the utterance at a place; without an emotion it was taken back."""

    place: tuple[int, int]
    call: str
    emotion: str
    by: str
    at_ms: int


class Labels:
    """For several threads. What this console has sent is remembered until everybody's labels are sure to have it."""

    def __init__(self, kafka: KafkaSettings, topics: Topics, consumers: Consumers) -> None:
        self._said: OrderedDict[tuple[tuple[int, int], str], Said] = OrderedDict()
        self._kafka = kafka
        self._topics = topics
        self._consumers = consumers
        self._producer: KafkaProducer | None = None
        self._writing, self._lock = Lock(), Lock()

    def send(self, place: tuple[int, int], emotion: str, by: str, *, withdrawn: bool = False) -> LabelEnvelope:
        """Say what the event at a place, partition and offset, sounds like; return once Kafka has it.

        Raises:
            NoEvent: nothing is there that can be labelled.
            Away: Kafka has not taken it.
        """
        event = self._event(place)
        # The trainer takes no more than a minute, and what goes on may still become something else.
        if event.data.type != "segment":
            raise NoEvent(f"the event at {place[0]}:{place[1]} is no utterance")
        label = _label(event, emotion, by, withdrawn)
        at_ms = self.give(label)
        with self._lock:
            self._said.pop((place, by), None)
            self._said[place, by] = Said(place, label.data.call_id, "" if withdrawn else emotion, by, at_ms)
            while len(self._said) > _REMEMBERED:
                self._said.popitem(last=False)
        return label

    def give(self, label: LabelEnvelope) -> int:
        """Send a label; return once Kafka has it, with its timestamp in ms.

        Raises:
            Away: Kafka has not taken it.
        """
        # One after the other: in what order two labels of one person come decides which counts.
        with self._writing:
            return self._write(label)

    def sent(self) -> list[Said]:
        """What was said, and what was taken back."""
        with self._lock:
            return list(self._said.values())

    def forget(self, call_id: str) -> None:
        """Remember nothing that was said of a call."""
        with self._lock:
            for key in [key for key, said in self._said.items() if said.call == call_id]:
                del self._said[key]

    def close(self) -> None:
        """Send no more."""
        if self._producer:
            self._producer.close(timeout=_DELIVERY_MS / 1000)

    def _event(self, place: tuple[int, int]) -> EventEnvelope:
        partition = TopicPartition(self._topics.emotion_events.name, place[0])
        with self._consumers.one() as consumer:
            if place[0] not in (consumer.partitions_for_topic(partition.topic) or ()):
                raise NoEvent(f"no partition {place[0]}")
            # Asked for a partition that it does not read it would look it up twice, 100 ms apart.
            consumer.assign([partition])
            first = consumer.beginning_offsets([partition], timeout_ms=ANSWER_MS)[partition]
            end = consumer.end_offsets([partition], timeout_ms=ANSWER_MS)[partition]
            if not first <= place[1] < end:
                raise NoEvent(f"no event at {place[0]}:{place[1]} (any more)")
            consumer.seek(partition, place[1])
            for _ in range(_POLLS):
                records = consumer.poll(timeout_ms=ANSWER_MS // 10, max_records=1).get(partition)
                if records:
                    break
            else:
                raise Away("no answer")
        try:
            if records[0].offset == place[1]:
                return EventEnvelope.model_validate_json(records[0].value or b"")
        except ValidationError:
            pass
        raise NoEvent(f"no event at {place[0]}:{place[1]}")

    def _write(self, label: LabelEnvelope) -> int:
        key, value = label.subject.encode(), label.model_dump_json(exclude_none=True).encode()
        try:
            self._producer = self._producer or idempotent_producer(
                self._kafka, request_timeout_ms=_REQUEST_MS, delivery_timeout_ms=_DELIVERY_MS
            )
            topic = self._topics.emotion_labels.name
            sent = self._producer.send(topic, key=key, value=value, headers=STRUCTURED_HEADERS)
            return int(sent.get(timeout=2 * _DELIVERY_MS / 1000).timestamp)
        except (KafkaError, UserError, OSError) as error:
            if self._producer:
                self._producer.close(timeout=0)
            self._producer = None
            raise Away(str(error)) from error


def _label(event: EventEnvelope, emotion: str, by: str, withdrawn: bool) -> LabelEnvelope:
    """It says all that the trainer needs: the event may be gone when it is read."""
    said = event.data
    data = EmotionLabel(
        call_id=said.call_id,
        channel=said.channel,
        emotion=emotion,
        labelled_by=by,
        event_id=event.id,
        start_sample=said.start_sample,
        end_sample=said.end_sample,
        sample_rate=said.sample_rate,
        audio=said.audio,
        model_version=said.model_version,
        withdrawn=withdrawn,
    )
    return around(data)


def around(label: EmotionLabel) -> LabelEnvelope:
    """Its envelope: a label that is given now."""
    subject = f"{label.call_id}/{label.channel}"
    return LabelEnvelope(
        id=str(uuid.uuid4()), source="/undertone/console", subject=subject, time=datetime.now(UTC), data=label
    )

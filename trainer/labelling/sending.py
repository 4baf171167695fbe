"""Labels to `emotion-labels`."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from uuid import uuid4

from kafka.errors import KafkaError

from schemas.errors import UserError
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from trainer.labelling.heard import Utterance, utterances
from undertone.messaging.clients import admin, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics

_HEADERS = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
_SEND_TIMEOUT_S = 30


def meant(settings: KafkaSettings, target: str, channel: str | None, at_s: float | None) -> list[Utterance]:
    """The utterances that a person means: that of an event, or those of a call, or the one there at a second.

    Raises:
        UserError: there is none.
    """
    found = [one for one in utterances(settings) if target in (one.id, one.said.call_id)]
    of_event = [one for one in found if one.id == target]
    if of_event:
        return of_event
    if channel:
        found = [one for one in found if one.said.channel == channel]
    if at_s is not None:
        found = [one for one in found if one.seconds[0] <= at_s < one.seconds[1]]
    if not found:
        where = f" of channel {channel}" if channel else ""
        when = "" if at_s is None else f" at {at_s:g} s"
        raise UserError(
            f"{target}: no utterance{where}{when} in emotion-events; `undertone tail --call-id` shows a call's"
        )
    return found


def send(settings: KafkaSettings, labels: Iterable[tuple[EmotionLabel, datetime | None]]) -> int:
    """Send labels, each with the time at which it was given, or now. Returns how many those are.

    Raises:
        UserError: no Kafka, no such topic, or Kafka did not take them.
    """
    topic = Topics(settings.topic_prefix).emotion_labels
    envelopes = [_envelope(label, time) for label, time in labels]
    with closing(admin(settings)) as client:
        require_topics(client, topic)
    with closing(idempotent_producer(settings)) as producer:
        try:
            sent = [
                producer.send(topic.name, key=one.subject.encode(), value=_json(one), headers=_HEADERS)
                for one in envelopes
            ]
            for one in sent:
                one.get(timeout=_SEND_TIMEOUT_S)
        except KafkaError as error:
            raise UserError(f"{topic.name}: Kafka did not take the labels ({error}); send them again") from None
    return len(envelopes)


def told(labelled: Sequence[Utterance], emotion: str) -> str:
    """One line for each."""
    return "\n".join(f"{one.stream} at {one.seconds[0]:.1f} s: {one.said.label} -> {emotion}" for one in labelled)


def _envelope(label: EmotionLabel, time: datetime | None) -> LabelEnvelope:
    return LabelEnvelope(
        id=str(uuid4()),
        source="/undertone/label",
        subject=f"{label.call_id}/{label.channel}",
        time=time or datetime.now(UTC),
        data=label,
    )


def _json(envelope: LabelEnvelope) -> bytes:
    return envelope.model_dump_json(exclude_none=True).encode()

"""`undertone forget`: a call's state is erased, its labels are called back, and the rest is left to retention.

Kafka erases records by their key where a topic is compacted, and by their age elsewhere. So the state of the call gets
tombstones, the trainers are told by a tombstone among the labels, and sound, events and dead letters go when their
time is up: `kept` says when that is.
"""

from collections.abc import Sequence
from contextlib import closing

from kafka import KafkaProducer
from kafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError

from schemas.audio import CallId
from schemas.errors import UserError
from schemas.topics import Topics
from undertone.erasure.kept import Kept, kept
from undertone.erasure.states import CallStates, StreamState
from undertone.messaging.clients import admin, idempotent_producer, reader
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics

# A worker hears a chunk within a second; one that restarts, or takes over, needs its session's time.
END_TIMEOUT_S = 60.0
_SEND_TIMEOUT_S = 30


def forget(
    settings: KafkaSettings, call_id: str, *, end: bool = False, timeout_s: float = END_TIMEOUT_S
) -> tuple[list[str], list[Kept]]:
    """Erase what can be erased of a call. Returns the streams whose state was erased, and what stays until when.

    It may be done again: nothing is lost, the times count from then.

    Raises:
        UserError: the call is open, and `end` is not set or no worker ends it in time; nothing is erased then. Or no
            call can have this id, or Kafka is not as it must be.
    """
    try:
        TypeAdapter(CallId).validate_python(call_id)
    except ValidationError:
        raise UserError(f"--call-id {call_id[:140]!r}: no call can have this id") from None
    topics = Topics(settings.topic_prefix)
    with closing(admin(settings)) as client:
        require_topics(client, *topics.all)
    with (
        closing(reader(settings, auto_offset_reset="earliest")) as consumer,
        closing(idempotent_producer(settings)) as producer,
    ):
        states = CallStates(settings, consumer, topics.worker_state.name, call_id)
        if states.open:
            if not end:
                raise UserError(
                    f"call {call_id} is open ({_names(states.open)}): stop its producer, wait for its summary and come"
                    " again, or end it now with --end"
                )
            _end(producer, topics, states, timeout_s)
        erased = sorted(states.streams, key=lambda state: state.stream)
        try:
            for state in erased:
                _send(producer, topics.worker_state.name, state.stream, partition=state.partition)
            _send(producer, topics.emotion_labels.name, call_id)
        except KafkaError as error:
            raise UserError(f"Kafka did not take a tombstone ({error}): the call is not forgotten yet") from None
    with closing(admin(settings)) as client:
        return [state.stream for state in erased], kept(client, topics)


def _end(producer: KafkaProducer, topics: Topics, states: CallStates, timeout_s: float) -> None:
    """End the open streams by a last chunk of ours, and wait until a worker has heard it."""
    waiting = _names(states.open)
    for state in states.open:
        chunk = state.last_chunk()
        producer.send(
            topics.call_audio.name,
            key=chunk.stream.encode(),
            value=chunk.audio,
            headers=chunk.headers("/undertone/forget"),
            partition=state.partition,
        ).get(timeout=_SEND_TIMEOUT_S)
    if not states.wait_until_ended(timeout_s):
        raise UserError(
            f"no worker has ended {waiting} within {timeout_s:.0f} s, and nothing is forgotten: is a worker running?"
        )


def _send(producer: KafkaProducer, topic: str, key: str, partition: int | None = None) -> None:
    producer.send(topic, key=key.encode(), value=None, partition=partition).get(timeout=_SEND_TIMEOUT_S)


def _names(states: Sequence[StreamState]) -> str:
    return ", ".join(sorted(state.stream for state in states))

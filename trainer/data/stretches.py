"""Which samples a label means, and their sound, as long as Kafka holds it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.audio import AudioChunk, Role
from schemas.dead_letters import Reason, Rejected
from schemas.events import AudioSpan, EventEnvelope
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from undertone.acoustics.codecs import decode
from undertone.messaging.reading import read_until

MAX_SECONDS = 60  # the trainer's bound for one example
# A stretch of 60 s shares its partition with other calls: half-second chunks of a thousand of them.
MAX_RECORDS = 200_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples [start, end) of a stream, and the records that hold them."""

    stream: str
    start: int
    end: int
    rate: int
    audio: AudioSpan


def read_label(record: ConsumerRecord) -> LabelEnvelope:
    """The label in a record of `emotion-labels`.

    Raises:
        Rejected: it holds none.
    """
    try:
        return LabelEnvelope.model_validate_json(record.value or b"")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "value"
        raise Rejected(Reason.INVALID_LABEL, f"{where}: {first['msg']}") from None


def stretch_of(label: EmotionLabel, event: EventEnvelope | None) -> Stretch:
    """Which samples a label means, and where they are. `event` is the one that it names, where it was found.

    Raises:
        Rejected: the event is not there (any more), is another stream's, or says nothing of its audio.
    """
    if label.event_id and event is None and (label.audio is None or label.end_sample is None):
        raise Rejected(Reason.UNKNOWN_EVENT, f"no event {label.event_id} in emotion-events")
    said = event.data if event else None
    stream = f"{label.call_id}/{label.channel}"
    if said and f"{said.call_id}/{said.channel}" != stream:
        raise Rejected(Reason.INVALID_LABEL, f"event {label.event_id} is not of {stream}")
    start = label.start_sample if label.start_sample is not None else said.start_sample if said else None
    end = label.end_sample if label.end_sample is not None else said.end_sample if said else None
    rate = label.sample_rate or (said.sample_rate if said else None)
    audio = label.audio or (said.audio if said else None)
    if start is None or end is None or rate is None or audio is None:
        raise Rejected(Reason.INVALID_LABEL, "neither label nor event says sample_rate and where the audio lies")
    if not 0 < end - start <= MAX_SECONDS * rate:
        raise Rejected(Reason.INVALID_LABEL, f"{(end - start) / rate:.1f} s: want more than none and at most 60")
    if not 0 <= audio.first_offset <= audio.last_offset:
        raise Rejected(Reason.INVALID_LABEL, "audio: last_offset lies before first_offset, or before the first record")
    return Stretch(stream, start, end, rate, audio)


def samples_of(
    client: KafkaConsumer,
    topics: Topics,
    stretch: Stretch,
    stopping: Callable[[], bool] = lambda: False,
    *,
    agents: bool = True,
) -> NDArray[np.int16] | None:
    """The stretch, int16 [end - start]; None where any of it is no longer in Kafka.

    What the stream itself lacks, between chunks of which one follows the other by their sequence numbers, is silence:
    so a worker heard it.

    Raises:
        Rejected: an agent speaks, and `agents` is not set.
        UnfinishedRead: `stopping()` became true.
    """
    samples = np.zeros(stretch.end - stretch.start, np.int16)
    there = np.zeros(len(samples), bool)  # a chunk that came twice must not stand in for one that is gone
    bounds: dict[int, tuple[int, int]] = {}  # by sequence number, from the stretch's start on
    for chunk in _chunks(client, topics, stretch, stopping):
        if chunk.role is Role.AGENT and not agents:
            why = "an agent's: without UNDERTONE_ANALYZE_AGENT their audio is not kept"
            raise Rejected(Reason.INVALID_LABEL, why)
        audio = decode(chunk.audio, chunk.encoding)
        start, end = max(stretch.start, chunk.first_sample), min(stretch.end, chunk.first_sample + len(audio))
        if start < end:
            samples[start - stretch.start : end - stretch.start] = audio[start - chunk.first_sample :][: end - start]
            there[start - stretch.start : end - stretch.start] = True
        first = chunk.first_sample - stretch.start
        bounds[chunk.sequence] = max(0, first), max(0, first + len(audio))
    for sequence, (_, end) in bounds.items():
        if sequence + 1 in bounds:
            there[end : bounds[sequence + 1][0]] = True
    return samples if there.all() else None


def _chunks(
    client: KafkaConsumer, topics: Topics, stretch: Stretch, stopping: Callable[[], bool]
) -> Iterator[AudioChunk]:
    """The stream's chunks between the offsets that the event names."""
    span = stretch.audio
    partition = TopicPartition(topics.call_audio.name, span.partition)
    if span.topic != partition.topic or span.last_offset - span.first_offset > MAX_RECORDS:
        return
    if span.partition not in (client.partitions_for_topic(partition.topic) or ()):
        return
    client.assign([partition])
    first = client.beginning_offsets([partition])[partition]
    # The event was committed after the audio that it names.
    end = min(client.end_offsets([partition])[partition], span.last_offset + 1)
    client.seek(partition, max(first, span.first_offset))
    for record in read_until(client, {partition: end}, stopping):
        if record.key != stretch.stream.encode():
            continue
        try:
            chunk = AudioChunk.from_record(record.key, record.value, record.headers)
        except Rejected:
            continue  # a worker has sent it to dead-letters
        if chunk.sample_rate == stretch.rate:
            yield chunk

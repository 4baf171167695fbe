"""Utterances that were heard, as `emotion-events` has them, and their sound, as long as Kafka holds it."""

from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import soundfile
from kafka import KafkaConsumer, TopicPartition
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.errors import UserError, one_line
from schemas.events import NO_SPEECH, UNCERTAIN, EventEnvelope, Segment
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from trainer.data.stretches import Stretch, samples_of
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Utterance:
    """A segment's event, its id, and the moment of its last sample."""

    id: str
    said: Segment
    ended: datetime

    @property
    def stream(self) -> str:
        """Whose it is."""
        return f"{self.said.call_id}/{self.said.channel}"

    @property
    def seconds(self) -> tuple[float, float]:
        """From when to when, in the stream's time."""
        return self.said.start_sample / self.said.sample_rate, self.said.end_sample / self.said.sample_rate

    def label(self, emotion: str, by: str, comment: str = "") -> EmotionLabel:
        """What a person says that it was, with all that the trainer needs to find the sound.

        Raises:
            UserError: it cannot be an emotion's name.
        """
        if emotion in (UNCERTAIN, NO_SPEECH):
            raise UserError(f"{emotion} is what a model says, and no emotion")
        said = self.said
        names = ("call_id", "channel", "start_sample", "end_sample", "sample_rate", "audio", "model_version")
        try:
            return EmotionLabel.model_validate(
                {name: getattr(said, name) for name in names}
                | {"event_id": self.id, "emotion": emotion, "labelled_by": by, "comment": comment}
            )
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise UserError(f"{one_line(emotion)}: {field}: {one_line(first['msg'])}") from None


def utterances(settings: KafkaSettings) -> Iterator[Utterance]:
    """Every utterance that Kafka still tells of; the topic is read whole.

    Raises:
        UserError: no Kafka, or no such topic.
    """
    with closing(reader(settings)) as client:
        partitions = partitions_of(client, Topics(settings.topic_prefix).emotion_events.name)
        for record in read_to_end(settings, client, partitions):
            if b".segment." not in (record.value or b""):
                continue
            try:
                event = EventEnvelope.model_validate_json(record.value)
            except ValidationError:
                continue  # another program's
            if isinstance(event.data, Segment):
                yield Utterance(event.id, event.data, event.time)


def of_event(settings: KafkaSettings, event_id: str) -> Utterance:
    """The utterance of an event.

    Raises:
        UserError: there is none.
    """
    for utterance in utterances(settings):
        if utterance.id == event_id:
            return utterance
    raise UserError(f"no utterance has the event id {one_line(event_id)}: `undertone labels suggest` shows ids")


def write_audio(settings: KafkaSettings, event_id: str, output: Path) -> Utterance:
    """Write the sound of an event's utterance as WAV.

    Raises:
        UserError: there is no such event, its sound is gone, or the file cannot be written.
    """
    utterance = of_event(settings, event_id)
    with closing(Sound(settings)) as sound:
        samples = sound.samples(utterance)
    if samples is None:
        raise UserError(f"{utterance.stream}: Kafka no longer has this sound")
    try:
        soundfile.write(output, samples, utterance.said.sample_rate, subtype="PCM_16", format="WAV")
    except (OSError, soundfile.LibsndfileError) as error:
        raise UserError(f"--output {output}: cannot be written ({error})") from None
    return utterance


def labelled(settings: KafkaSettings) -> set[tuple[str, int | None]]:
    """What people have labelled already: (event id, None), and (stream, first sample)."""
    with closing(reader(settings)) as client:
        partitions = partitions_of(client, Topics(settings.topic_prefix).emotion_labels.name)
        return standing(_labels(record.value for record in read_to_end(settings, client, partitions)))


def standing(labels: Iterable[EmotionLabel]) -> set[tuple[str, int | None]]:
    """What labels name, in the order in which they came: an event, and where its stretch begins.

    What everybody has taken back that had labelled it is not labelled.
    """
    people: dict[tuple[str, int | None], set[str]] = {}
    for label in labels:
        for name in ((label.event_id or "", None), (f"{label.call_id}/{label.channel}", label.start_sample)):
            if label.withdrawn:
                people.get(name, set()).discard(label.labelled_by)
            else:
                people.setdefault(name, set()).add(label.labelled_by)
    return {name for name, by in people.items() if by}


def _labels(values: Iterable[bytes | None]) -> Iterator[EmotionLabel]:
    for value in values:
        with suppress(ValidationError):
            yield LabelEnvelope.model_validate_json(value or b"").data


class Sound:
    """The audio of utterances. One client for all of them; to be closed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topics = Topics(settings.topic_prefix)
        self._client: KafkaConsumer = reader(settings)
        partitions = partitions_of(self._client, self._topics.call_audio.name)
        self._firsts: dict[TopicPartition, int] = self._client.beginning_offsets(partitions)

    def is_kept(self, utterance: Utterance) -> bool:
        """Whether Kafka still holds it, by where its first chunk lies."""
        audio = utterance.said.audio
        if audio is None or audio.topic != self._topics.call_audio.name:
            return False
        first = self._firsts.get(TopicPartition(audio.topic, audio.partition))
        return first is not None and audio.first_offset >= first

    def samples(self, utterance: Utterance) -> NDArray[np.int16] | None:
        """Its samples; None where any of them is gone."""
        said = utterance.said
        if said.audio is None:
            return None
        stretch = Stretch(utterance.stream, said.start_sample, said.end_sample, said.sample_rate, said.audio)
        return samples_of(self._client, self._topics, stretch)

    def close(self) -> None:
        """Let go of the client."""
        self._client.close()

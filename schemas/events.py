"""`emotion-events`: updates, segments and summaries, CloudEvents 1.0 in structured JSON.

`update` comes every half second while somebody speaks, `segment` when an utterance ends, `summary` when the
stream ends. Reading only `segment` is enough for most services; `update` is for live views.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import from_json

from schemas.audio import CallId, Channel, Role

# What CloudEvents' Kafka binding asks of a record in structured mode.
STRUCTURED_HEADERS = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
UNCERTAIN = "uncertain"
NO_SPEECH = "no-speech"


class AudioSpan(BaseModel):
    """Where an event's audio lies in Kafka; both offsets belong to it."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    first_offset: int
    last_offset: int


class Relative(BaseModel):
    """How an utterance stands to what the stream's utterances before it were like, in their standard deviations.

    0 is this speaker's normal; null where too few utterances, or none of what is measured, came before.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    level: float | None = Field(default=None, description="Level in dB.")
    pitch: float | None = Field(default=None, description="Logarithm of the pitch.")
    arousal: float | None = None


class _Event(BaseModel):
    """What all events say. Samples count from the stream's start; `end_sample` is the first one after it."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    call_id: CallId
    channel: Channel
    role: Role
    start_sample: int = Field(ge=0)
    end_sample: int = Field(ge=0)
    sample_rate: Literal[8000, 16000]
    label: str = Field(description="The most probable emotion, `uncertain`, or `no-speech`.")
    probabilities: dict[str, float] = Field(
        description="Calibrated probability by emotion; they add up to 1. Empty where there was no speech."
    )
    speech_s: float = Field(ge=0, description="Seconds of speech that the probabilities rest on.")
    level_dbfs: float | None = Field(description="Mean level of the speech, dB relative to full scale.")
    pitch_hz: float | None = Field(description="Geometric mean of the pitch of voiced speech, Hz.")
    group: str | None = Field(
        default=None,
        description="The most probable of the model's groups, as `negative`, `neutral`, `positive`, or `uncertain`; "
        "null without speech, from a model without groups, or from a worker that knew none.",
    )
    groups: dict[str, float] | None = Field(
        default=None, description="Probability by group: the sum of its emotions'. A model may leave emotions out."
    )
    arousal: float | None = Field(
        default=None, ge=-1, le=1, description="Sleepy (-1) to stirred (1): the emotions' places by their probability."
    )
    valence: float | None = Field(default=None, ge=-1, le=1, description="Displeasure (-1) to pleasure (1), likewise.")
    relative: Relative | None = Field(
        default=None, description="Against the stream's own utterances before this one; null in a summary."
    )
    model_version: str
    audio: AudioSpan | None = None


class Update(_Event):
    """The utterance so far, at a multiple of half a second of the stream's samples."""

    type: Literal["update"] = "update"


class Segment(_Event):
    """An utterance that has ended: at silence, at its greatest length, or with the stream."""

    type: Literal["segment"] = "segment"
    ended_by: Literal["silence", "length", "end"]


class Summary(_Event):
    """The whole stream: its segments' probabilities, weighted by their speech."""

    type: Literal["summary"] = "summary"
    ended_by: Literal["end", "idle", "replaced"]
    segments: int = Field(ge=0)


EmotionEvent = Annotated[Update | Segment | Summary, Field(discriminator="type")]
EVENT = TypeAdapter[Update | Segment | Summary](EmotionEvent)


class EventEnvelope(BaseModel):
    """The CloudEvents envelope around an event.

    `id` is a function of the stream and the samples alone, so a reader that ignores transactions can still
    drop repeats; `time` is the moment of the event's last sample.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Literal["undertone.emotion.update.v1", "undertone.emotion.segment.v1", "undertone.emotion.summary.v1"]
    subject: str
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: EmotionEvent

    @classmethod
    def around(cls, event: Update | Segment | Summary, start_time: datetime) -> Self:
        """Wrap an event of the stream that began at `start_time`."""
        subject, samples = f"{event.call_id}/{event.channel}", (event.start_sample, event.end_sample)
        return cls(
            id=event_id(subject, start_time.isoformat(), event.type, *samples),
            source="/undertone/worker",
            type=f"undertone.emotion.{event.type}.v1",
            subject=subject,
            time=start_time + timedelta(seconds=event.end_sample / event.sample_rate),
            data=event,
        )


class WrittenEvent(NamedTuple):
    """An event as it crosses Kafka, and what a service that writes it has to know of it."""

    subject: str  # the stream's name, which is the record's key
    kind: str  # `update`, `segment` or `summary`
    value: bytes  # the envelope's JSON
    last: tuple[int, int] | None  # partition and offset of the last audio that it speaks of

    @property
    def data(self) -> dict[str, Any]:
        """The fields of its model, read from the JSON: few ask for them, and of segments only."""
        data: dict[str, Any] = from_json(self.value)["data"]
        return data

    def envelope(self) -> EventEnvelope:
        """Read it, as whoever consumes `emotion-events` does."""
        return EventEnvelope.model_validate_json(self.value)


def event_id(stream: str, start_time: str, kind: str, start_sample: object, end_sample: object) -> str:
    """The id of an event of a stream that began at `start_time`, in ISO 8601 and UTC."""
    identity = f"{stream} {start_time} {kind} {start_sample} {end_sample}"
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def event_line(event: Update | Segment | Summary, *, with_audio: bool = True) -> str:
    """An event's data as one JSON line; without `audio` it is the same for the same samples everywhere."""
    omitted: dict[str, Any] | None = None if with_audio else {"audio": True}
    return event.model_dump_json(exclude=omitted)

"""`emotion-labels`: what a person says the emotion was, CloudEvents 1.0 in structured JSON."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.audio import MAX_SAMPLE, CallId, Channel
from schemas.events import AudioSpan

Emotion = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9 _-]{0,39}$")]


class EmotionLabel(BaseModel):
    """A person's label for an event (`event_id`) or for a stretch of a stream (its samples).

    The trainer finds the sound through `audio`, which is copied from the event.
    """

    model_config = ConfigDict(frozen=True)

    call_id: CallId
    channel: Channel
    emotion: Emotion
    labelled_by: str = Field(min_length=1, max_length=128)
    event_id: str | None = Field(default=None, max_length=64)
    start_sample: int | None = Field(default=None, ge=0, lt=MAX_SAMPLE)
    end_sample: int | None = Field(default=None, ge=0, lt=MAX_SAMPLE)
    sample_rate: Literal[8000, 16000] | None = None
    audio: AudioSpan | None = None
    model_version: str | None = Field(
        default=None, max_length=64, description="The event's `model_version`: who is corrected."
    )
    withdrawn: bool = Field(
        default=False,
        description="The person takes back what they have said of these samples before; `emotion` repeats it.",
    )
    comment: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.event_id is None and (self.start_sample is None or self.end_sample is None):
            raise ValueError("a label names an event_id, or a start_sample and an end_sample")
        if self.start_sample is not None and self.end_sample is not None and self.end_sample <= self.start_sample:
            raise ValueError("end_sample lies after start_sample")
        return self


class LabelEnvelope(BaseModel):
    """The CloudEvents envelope around a label; the record's key is the stream."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=64)
    source: str = Field(min_length=1, max_length=256)
    type: Literal["undertone.emotion.label.v1"] = "undertone.emotion.label.v1"
    subject: str
    time: AwareDatetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: EmotionLabel

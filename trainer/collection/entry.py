"""An entry of the dataset: one record of `emotion-labels`, and what has become of it."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from schemas.dead_letters import Reason
from schemas.labels import LabelEnvelope
from trainer.data.stretches import Stretch


class State(StrEnum):
    """What has become of a record; also the `state` label of the collector's counter."""

    COLLECTED = "collected"
    EXPIRED = "expired"
    """A good label whose audio Kafka no longer had."""
    REJECTED = "rejected"
    """It is in `dead-letters`."""
    FORGOTTEN = "forgotten"
    """A label of a call that is to be forgotten: nothing of it is kept."""
    TOMBSTONE = "tombstone"


class Entry(BaseModel):
    """One record. A label is there while it is known (collected, expired), `audio` while its sound is kept.

    audio: SHA-256 of the WAV file. heard_by: version of the model whose event the person has corrected.
    """

    model_config = ConfigDict(frozen=True)

    state: State
    topic: str
    partition: int
    offset: int
    received: AwareDatetime
    reason: Reason | None = None
    label: LabelEnvelope | None = None
    stretch: Stretch | None = None
    heard_by: str | None = None
    audio: str | None = None

    @property
    def call_id(self) -> str:
        """The call that was labelled; empty where nothing of the label is kept."""
        return self.label.data.call_id if self.label else ""

    @property
    def stream(self) -> str:
        """Its stream, `call_id/channel`; empty likewise."""
        return f"{self.label.data.call_id}/{self.label.data.channel}" if self.label else ""

    def forgotten(self) -> "Entry":
        """The same record without anything that was said."""
        return Entry(
            state=State.FORGOTTEN,
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            received=self.received,
        )

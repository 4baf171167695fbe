"""What a webhook gets of a call that has met a rule: CloudEvents 1.0 in structured JSON. It is on no topic."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.audio import CallId, Channel, Role
from schemas.events import Relative


class Alert(BaseModel):
    """One time that a call came to meet a rule of the console.

    What follows from a single event is null where the rule is about the call as a whole: silence, overlap.
    """

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    rule: str = Field(description="The rule's name.")
    call_id: CallId
    channel: Channel | None
    role: Role | None
    since: AwareDatetime = Field(description="Where what counts for it begins.")
    reason: str = Field(description="Why, in words.")
    label: str | None = Field(description="The label of the newest event that counts; so are the three below.")
    probability: float | None = Field(ge=0, le=1)
    relative: Relative | None
    model_version: str | None
    event_id: str | None = Field(description="The id of that event on emotion-events.")


class AlertEnvelope(BaseModel):
    """The CloudEvents envelope around an alert. The same alert has the same `id`, however often it comes."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=64)
    source: Literal["/undertone/console"] = "/undertone/console"
    type: Literal["undertone.alert.v1"] = "undertone.alert.v1"
    subject: str = Field(description="The stream, `call_id/channel`, or the call.")
    time: AwareDatetime = Field(description="When the call came to meet the rule.")
    datacontenttype: Literal["application/json"] = "application/json"
    data: Alert

"""AudioHook v2's control messages: one JSON object each, checked before anything is done about it.

Positions and durations are ISO 8601 texts on the wire (`PT12.34S`) and samples at 8 kHz here: the protocol knows no
other rate, and a sample is the exact unit of a gap.
"""

import json
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from schemas.errors import one_line
from undertone.gateway.refusals import MalformedMessage

RATE = 8000
NOBODY = "00000000-0000-0000-0000-000000000000"
# A position of more is no call's: it would be a gap of weeks made by one message.
_MAX_SECONDS = 7 * 24 * 3600
_DURATION = re.compile(
    r"PT(?=[0-9.])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})S)?",
    re.ASCII,
)


def samples(duration: object) -> int:
    """Samples at 8 kHz of an ISO 8601 duration, the nearest where it falls between two.

    Raises:
        ValueError: it is no duration of hours, minutes and seconds, or longer than a week.
    """
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if match is None:
        raise ValueError(f"{one_line(duration, 40)!r} is no duration such as PT1.5S")
    seconds = int(match["hours"] or 0) * 3600 + int(match["minutes"] or 0) * 60 + Decimal(match["seconds"] or 0)
    if seconds > _MAX_SECONDS:
        raise ValueError(f"{one_line(duration, 40)} is longer than a week")
    return round(seconds * RATE)


Id = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._:-]{1,64}$")]
Position = Annotated[int, BeforeValidator(samples)]
SequenceNumber = Annotated[int, Field(ge=0, lt=2**53)]


class _Strict(BaseModel):
    # Fields that we do not know are the client's own affair: the protocol grows by them.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Media(_Strict):
    """One way in which the client can send the audio."""

    type: str
    format: str
    channels: list[str]
    rate: int

    @property
    def usable(self) -> bool:
        """Whether it is mu-law at 8 kHz of one or both sides."""
        sides = self.channels in (["external"], ["internal"], ["external", "internal"], ["internal", "external"])
        return sides and (self.type, self.format, self.rate) == ("audio", "PCMU", RATE)


class Continued(_Strict):
    """A session that the client has given up for this one."""

    id: Id


class Open(_Strict):
    """`open`: whose call it is, and what the client offers."""

    conversation: Id = Field(alias="conversationId")
    organization: Id | None = Field(None, alias="organizationId")
    media: list[Media] = Field(max_length=64)
    continued: list[Continued] = Field([], alias="continuedSessions", max_length=64)

    @property
    def probe(self) -> bool:
        """Whether the client only tries the connection: there is no call behind it."""
        return self.conversation == NOBODY

    def choose(self) -> Media | None:
        """The offer with both sides, else with the customer's, else with the agent's; None where none is PCMU."""
        usable = [media for media in self.media if media.usable]
        return min(usable, key=lambda media: (-len(media.channels), media.channels), default=None)


class Close(_Strict):
    """`close`: the client has sent all that it will, because of `end`, `error`, `disconnect` or `reconnect`."""

    reason: str

    @property
    def returns(self) -> bool:
        """Whether the client means to go on with the call in another session."""
        return self.reason in ("error", "reconnect")


class Skipped(_Strict):
    """`discarded` and `resumed`: audio from `start` on that is not sent."""

    start: Position
    discarded: Position


class Complaint(_Strict):
    """`error`: what the client holds against the server."""

    code: int | str
    message: str


class Nothing(_Strict):
    """The parameters of a message that has none that matter here."""


Parameters = Open | Close | Skipped | Complaint | Nothing
_PARAMETERS: dict[str, type[Parameters]] = {
    "open": Open,
    "close": Close,
    "discarded": Skipped,
    "resumed": Skipped,
    "error": Complaint,
}


class ClientMessage(_Strict):
    """A message of the client's. One of a type that we do not know has `Nothing` in it, and is passed over."""

    version: Literal["2"]
    id: Id
    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{1,64}$")]
    seq: SequenceNumber
    serverseq: SequenceNumber
    position: Position
    parameters: dict[str, Any]

    @property
    def said(self) -> Parameters:
        """The parameters, by the message's type."""
        return _PARAMETERS.get(self.type, Nothing).model_validate(self.parameters)


def parse(text: str) -> tuple[ClientMessage, Parameters]:
    """Read a text message.

    Raises:
        MalformedMessage: it is no JSON, or not what AudioHook 2 says a client's message is.
    """
    try:
        message = ClientMessage.model_validate_json(text)
        return message, message.said
    except ValidationError as error:
        first = error.errors(include_context=False, include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        problem = one_line(f"{place}: {first['msg']}" if place else first["msg"], 160)
    raise MalformedMessage(problem)


def server_message(kind: str, session: str, seq: int, clientseq: int, parameters: dict[str, Any]) -> str:
    """A message of the server's, as text."""
    fields = {"version": "2", "type": kind, "seq": seq, "clientseq": clientseq, "id": session}
    return json.dumps(fields | {"parameters": parameters})

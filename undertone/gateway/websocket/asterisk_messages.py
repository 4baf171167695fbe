"""chan_websocket's control messages, which Asterisk writes in two ways.

A line of words, `MEDIA_START connection_id:gateway format:ulaw ptime:20`, or from 20.18, 22.8 and 23.2 on, where
chan_websocket.conf says so, a JSON object with the same names and the channel's variables. It takes commands in the
way in which it writes.
"""

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.errors import one_line
from undertone.acoustics.codecs import decode
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.messages import json_object, text_at

# Asterisk's signed linear formats by name; plain `slin` is 8 kHz.
_LINEAR_RATES = {
    "slin": 8000,
    "slin12": 12000,
    "slin16": 16000,
    "slin24": 24000,
    "slin32": 32000,
    "slin44": 44100,
    "slin48": 48000,
    "slin96": 96000,
    "slin192": 192000,
}
_EVENT = re.compile(r"[A-Z][A-Z0-9_]{1,63}")
# Each of them: a channel has a few dozen variables, and the message is 64 KiB at most.
_MAX_VARIABLES = 1000


class Command(StrEnum):
    """What the gateway says to Asterisk."""

    ANSWER = "ANSWER"
    HANGUP = "HANGUP"


@dataclass(frozen=True, slots=True)
class Event:
    """A control message of Asterisk's: its name and fields, as text."""

    name: str
    fields: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    as_json: bool = False

    def command(self, command: Command) -> str:
        """A command, in the way in which this event was written."""
        return json.dumps({"command": command.value}) if self.as_json else command.value


@dataclass(frozen=True, slots=True)
class Format:
    """How the audio of a channel is written."""

    rate: int
    encoding: Encoding

    def samples(self, data: bytes) -> NDArray[np.int16]:
        """The samples of a binary message: int16 [n].

        Raises:
            MalformedMessage: half a sample.
        """
        if len(data) % self.encoding.sample_bytes:
            raise MalformedMessage(f"{len(data)} bytes of audio are not whole 16-bit samples")
        return decode(data, self.encoding)


@dataclass(frozen=True, slots=True)
class MediaStart:
    """`MEDIA_START`: which channel it is, and how its audio is written."""

    connection_id: str
    channel: str | None
    channel_id: str | None
    format: Format
    variables: dict[str, str]

    @property
    def id(self) -> str:
        """What names this channel and no other.

        Where Asterisk dials out, connection_id is only the name of the client in websocket_client.conf, and the
        channel is called by it: `WebSocket/gateway/0x7f...`. All calls have it, so there the channel's own id counts.
        """
        dialled = (self.channel or "").split("/")[1:2] == [self.connection_id]
        return (self.channel_id or self.channel or self.connection_id) if dialled else self.connection_id


def parse(text: str) -> Event:
    """Read a text message.

    Raises:
        MalformedMessage: neither a JSON object with an `event` nor a line that begins with one.
    """
    return _from_json(text) if text.lstrip().startswith("{") else _from_line(text)


def media_start(event: Event) -> MediaStart:
    """What a `MEDIA_START` says.

    Raises:
        MalformedMessage: no connection_id, or a format that is no plain PCM and no G.711.
    """
    fields = event.fields
    if "connection_id" not in fields or "format" not in fields:
        raise MalformedMessage("MEDIA_START without connection_id and format")
    return MediaStart(
        connection_id=fields["connection_id"],
        channel=fields.get("channel"),
        channel_id=fields.get("channel_id"),
        format=_format(fields["format"]),
        variables=event.variables,
    )


def _format(name: str) -> Format:
    match name:
        case "ulaw":
            return Format(8000, Encoding.PCMU)
        case "alaw":
            return Format(8000, Encoding.PCMA)
        case _ if name in _LINEAR_RATES:
            # In the byte order of Asterisk's machine, which is little-endian wherever it runs today.
            return Format(_LINEAR_RATES[name], Encoding.L16LE)
    raise MalformedMessage(f"format {one_line(name, 20)!r}: want ulaw, alaw, slin or slin with a rate")


def _from_json(text: str) -> Event:
    message = json_object(text)
    name = text_at(message, "event")
    if name is None or not _EVENT.fullmatch(name):
        raise MalformedMessage("JSON without an event")
    variables = message.get("channel_variables", {})
    if not isinstance(variables, dict) or len(variables) > _MAX_VARIABLES:
        raise MalformedMessage("channel_variables: want an object of texts")
    return Event(name, _texts(message), _texts(variables), as_json=True)


def _texts(found: dict[str, object]) -> dict[str, str]:
    return {key: str(value) for key, value in found.items() if value != "" and type(value) in (str, int)}


def _from_line(text: str) -> Event:
    name, *words = text.split()[: _MAX_VARIABLES + 1] or [""]
    if not _EVENT.fullmatch(name):
        raise MalformedMessage(f"{one_line(text, 40)!r} begins with no event")
    pairs = (word.split(":", 1) for word in words if ":" in word)
    return Event(name, {key: value for key, value in pairs if value})

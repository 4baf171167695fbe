"""Twilio's Media Streams and its relatives: one shape, and a table of where each puts what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from schemas.audio import Encoding
from schemas.errors import one_line
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.messages import at, text_at, whole_number_at


@dataclass(frozen=True, slots=True)
class Dialect:
    """Dotted paths into the start message, and what holds where it says nothing.

    `linear` is the byte order of what a dialect calls L16; `reorder` how many messages wait for one that is late;
    `wall_clock` says that timestamps are the time of day, which jitters, and not the media's own clock.
    """

    name: str
    call: str = "start.callSid"
    encoding: str = "start.mediaFormat.encoding"
    rate: str = "start.mediaFormat.sampleRate"
    channels: str = "start.mediaFormat.channels"
    parameters: str = "start.customParameters"
    default: Encoding = Encoding.PCMU
    linear: Encoding = Encoding.L16LE
    reorder: int = 0
    wall_clock: bool = False
    signature: str | None = None


TWILIO = Dialect("twilio", signature="X-Twilio-Signature")
SIGNALWIRE = Dialect("signalwire", signature="X-SignalWire-Signature")
PLIVO = Dialect("plivo", call="start.callId", parameters="extra_headers", wall_clock=True)
EXOTEL = Dialect(
    "exotel",
    call="start.call_sid",
    encoding="start.media_format.encoding",
    rate="start.media_format.sample_rate",
    channels="start.media_format.channels",
    parameters="start.custom_parameters",
    default=Encoding.L16LE,
)
TELNYX = replace(
    EXOTEL,
    name="telnyx",
    call="start.call_control_id",
    default=Encoding.PCMU,
    # Its payloads are those of RTP packets, where L16 is big-endian.
    linear=Encoding.L16,
    # 20 messages are 400 ms: a stream without losses is never late by as much as a chunk's length.
    reorder=20,
)

DIALECTS = (TWILIO, TELNYX, PLIVO, EXOTEL, SIGNALWIRE)

# As they are written in the documents, without `audio/` and `x-`. `base64` and `raw/slin` are Exotel's names of PCM.
_G711 = {
    "mulaw": Encoding.PCMU,
    "ulaw": Encoding.PCMU,
    "pcmu": Encoding.PCMU,
    "basic": Encoding.PCMU,
    "alaw": Encoding.PCMA,
    "pcma": Encoding.PCMA,
}
_LINEAR = {"l16", "raw", "slin", "raw/slin", "linear16", "pcm", "base64"}


@dataclass(frozen=True, slots=True)
class Start:
    """What a start message says. The rate is in Hz; the token comes in the parameters that a customer sets."""

    call_id: str
    encoding: Encoding
    rate: int
    token: str | None


def read_start(message: Mapping[str, Any], dialect: Dialect) -> Start:
    """Read a start message.

    Raises:
        MalformedMessage: no call id, an encoding that is not decoded here, or not one channel.
    """
    call_id = text_at(message, dialect.call)
    if call_id is None:
        raise MalformedMessage(f"start without {dialect.call.removeprefix('start.')}")
    if (whole_number_at(message, dialect.channels) or 1) != 1:
        raise MalformedMessage("more than one channel in a track: want one")
    named, _, parameters = (text_at(message, dialect.encoding) or "").partition(";")
    encoding = _encoding(named, dialect)
    rate = whole_number_at(message, dialect.rate) or _rate_in(parameters) or 8000
    return Start(call_id, encoding, rate, _token(at(message, dialect.parameters)))


def _encoding(named: str, dialect: Dialect) -> Encoding:
    name = named.strip().lower().removeprefix("audio/").removeprefix("x-")
    if not name:
        return dialect.default
    if name in _G711:
        return _G711[name]
    if name in _LINEAR:
        return dialect.linear
    raise MalformedMessage(f"encoding {one_line(named, 40)!r}: want mu-law, A-law or L16")


def _rate_in(parameters: str) -> int | None:
    """The rate in `audio/x-l16;rate=16000`."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "rate" and value.strip().isascii() and value.strip().isdigit() and len(value) < 9:
            return int(value)
    return None


def _token(parameters: Any) -> str | None:
    """The parameter `token`: of an object, of a list of names and values, or of Plivo's `a=1;b=2`."""
    if isinstance(parameters, str):
        parameters = _headers(parameters)
    if isinstance(parameters, list):
        parameters = {p["name"]: p.get("value") for p in parameters if isinstance(p, dict) and _is_name(p.get("name"))}
    found = parameters.get("token") if isinstance(parameters, dict) else None
    return found if isinstance(found, str) else None


def _is_name(name: Any) -> bool:
    return isinstance(name, str)


def _headers(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    pairs = (pair.partition("=") for pair in text.replace(",", ";").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}

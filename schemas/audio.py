"""`call-audio`: one chunk of one stream, CloudEvents 1.0 in binary mode.

The record's key names the stream, `call_id/channel`; the value is the audio; `ce_*` headers say the rest.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.dead_letters import Reason, Rejected
from schemas.tracing import TRACEPARENT, traceparent_in

CHUNK_TYPE = "undertone.audio.chunk.v1"
MAX_CHUNK_SECONDS = 10
MAX_CHUNK_BYTES = MAX_CHUNK_SECONDS * 16_000 * 2
# 69 years at 8 kHz: more than any call, and with these start times a stream's last moment is still a date.
MAX_SAMPLE = 2**44
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

CallId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}$")]
Channel = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,31}$")]

_CONTENT_TYPE = re.compile(r"^\s*audio/(?P<name>[a-z0-9.+-]+)\s*(?P<parameters>(?:;[^;]*)*)$", re.IGNORECASE)
_RATES: tuple[Literal[8000], Literal[16000]] = (8000, 16000)
_REQUIRED = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_role",
    "ce_sequence",
    "ce_firstsample",
    "ce_starttime",
    "content-type",
)


def _in_utc(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"want a time from {EARLIEST:%Y} to before {LATEST:%Y}")
    # One moment, one spelling: event ids are made of it.
    return moment.astimezone(UTC)


StartTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Role(StrEnum):
    """Who speaks on a channel. Agents are not analysed unless a setting says so."""

    CUSTOMER = "customer"
    AGENT = "agent"


class Encoding(StrEnum):
    """How samples are written: RFC 2586 L16 is big-endian; `l16le` is L16 with `endianness=little-endian`."""

    L16 = "l16"
    L16LE = "l16le"
    PCMU = "pcmu"
    PCMA = "pcma"

    @property
    def sample_bytes(self) -> int:
        """Bytes per sample: 2 for L16, 1 for G.711."""
        return 2 if self in _TWO_BYTES else 1


# Outside of the class: to look one up by its name takes as long as all the rest, for each chunk four times.
_TWO_BYTES = (Encoding.L16, Encoding.L16LE)


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """Where a record lies in Kafka. One is kept of each stream: 70 bytes, where a pydantic model takes 500."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int = 0


class AudioChunk(BaseModel):
    """One chunk of one stream's audio.

    `first_sample` is the index of the chunk's first sample in the stream, `start_time` the moment of sample 0;
    a stream that starts anew under an old name has another `start_time`.
    """

    model_config = ConfigDict(frozen=True)

    call_id: CallId
    channel: Channel
    role: Role
    sequence: int = Field(ge=0, lt=2**53)
    first_sample: int = Field(ge=0, lt=MAX_SAMPLE)
    start_time: StartTime
    encoding: Encoding
    sample_rate: Literal[8000, 16000]
    audio: bytes = Field(max_length=MAX_CHUNK_BYTES)
    end_of_stream: bool = False
    place: RecordPlace | None = None
    traceparent: str | None = None

    @model_validator(mode="after")
    def _whole_samples(self) -> Self:
        samples, rest = divmod(len(self.audio), self.encoding.sample_bytes)
        if rest:
            raise Rejected(Reason.ODD_BYTE_COUNT, f"{len(self.audio)} bytes are not whole 16-bit samples")
        if samples > MAX_CHUNK_SECONDS * self.sample_rate:
            raise Rejected(Reason.TOO_LARGE, f"{samples} samples, more than {MAX_CHUNK_SECONDS} s")
        if not self.audio and not self.end_of_stream:
            raise Rejected(Reason.EMPTY, "no audio and no end-of-stream flag")
        return self

    @property
    def stream(self) -> str:
        """The stream's name, which is the record's key."""
        return f"{self.call_id}/{self.channel}"

    @property
    def samples(self) -> int:
        """The number of samples in this chunk."""
        return len(self.audio) // self.encoding.sample_bytes

    def headers(self, source: str = "/undertone/producer") -> list[tuple[str, bytes]]:
        """The record's headers, as CloudEvents' Kafka binding writes them in binary mode."""
        fields = {
            "ce_specversion": "1.0",
            "ce_id": f"{self.stream}/{self.start_time.isoformat()}/{self.sequence}",
            "ce_source": source,
            "ce_type": CHUNK_TYPE,
            "ce_subject": self.stream,
            "ce_role": self.role.value,
            "ce_sequence": str(self.sequence),
            "ce_firstsample": str(self.first_sample),
            "ce_starttime": self.start_time.isoformat(),
            "ce_endofstream": "true" if self.end_of_stream else "false",
            "content-type": content_type(self.encoding, self.sample_rate),
        }
        if self.traceparent:
            fields[TRACEPARENT] = self.traceparent
        return [(name, value.encode()) for name, value in fields.items()]

    @classmethod
    def from_record(
        cls,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes]],
        place: RecordPlace | None = None,
    ) -> Self:
        """Read a record of `call-audio`.

        Raises:
            Rejected: with the reason that goes to `dead-letters`; nothing else is raised for any input.
        """
        if value is not None and len(value) > MAX_CHUNK_BYTES:
            raise Rejected(Reason.TOO_LARGE, f"{len(value)} bytes, more than {MAX_CHUNK_BYTES}")
        fields = _fields(headers)
        call_id, channel = _stream_of(key, fields)
        encoding, rate = parse_content_type(fields["content-type"])
        try:
            return cls(
                call_id=call_id,
                channel=channel,
                role=Role(fields["ce_role"]),
                sequence=_integer(fields, "ce_sequence"),
                first_sample=_integer(fields, "ce_firstsample"),
                start_time=datetime.fromisoformat(fields["ce_starttime"]),
                encoding=encoding,
                sample_rate=rate,
                audio=value or b"",
                end_of_stream=_flag(fields, "ce_endofstream"),
                place=place,
                traceparent=traceparent_in(fields),
            )
        except ValidationError as error:
            first = error.errors(include_context=False)[0]
            detail = f"{first['loc'][-1]}: {first['msg']}"
        except ValueError as error:
            detail = str(error)
        # Outside of the handlers: a ValidationError that stays behind as `__context__` holds, unseen by the garbage
        # collector, a validator's own error, whose frames hold the whole batch. Each bad start time leaked one.
        raise Rejected(Reason.INVALID_HEADER, detail)


def content_type(encoding: Encoding, sample_rate: int) -> str:
    """The `content-type` header for an encoding and a rate in Hz."""
    if encoding is Encoding.L16LE:
        return f"audio/L16;rate={sample_rate};channels=1;endianness=little-endian"
    return f"audio/{encoding.value.upper()};rate={sample_rate};channels=1"


# Most chunks say it as our producer does: a look-up saves a fifth of reading a record.
_OUR_SPELLINGS: dict[str, tuple[Encoding, Literal[8000, 16000]]] = {
    content_type(encoding, rate): (encoding, rate) for encoding in Encoding for rate in _RATES
}


def parse_content_type(text: str) -> tuple[Encoding, Literal[8000, 16000]]:
    """Read a `content-type` header.

    Raises:
        Rejected: `unsupported_content_type` for another type, byte order or channel count,
            `unsupported_rate` for a rate that is neither 8000 nor 16000.
    """
    if text in _OUR_SPELLINGS:
        return _OUR_SPELLINGS[text]
    match = _CONTENT_TYPE.match(text)
    try:
        if match is None:
            raise ValueError
        encoding = Encoding(match["name"].lower())
        parameters = {
            part.split("=", 1)[0].strip().lower(): part.split("=", 1)[1].strip(' "')
            for part in match["parameters"].split(";")
            if part.strip()
        }
    except (ValueError, IndexError):
        raise Rejected(
            Reason.UNSUPPORTED_CONTENT_TYPE, f"{text[:80]!r}: want audio/L16, audio/PCMU or audio/PCMA"
        ) from None
    if encoding is Encoding.L16LE or parameters.get("channels", "1") != "1":
        raise Rejected(Reason.UNSUPPORTED_CONTENT_TYPE, f"{text[:80]!r}: want one channel")
    order = parameters.get("endianness", "big-endian").lower()
    if order not in ("big-endian", "little-endian"):
        raise Rejected(Reason.UNSUPPORTED_CONTENT_TYPE, f"endianness {order[:20]!r}")
    if encoding is Encoding.L16 and order == "little-endian":
        encoding = Encoding.L16LE
    # RFC 3551: G.711 is at 8000 Hz where nothing else is said.
    rate = parameters.get("rate", "" if encoding.sample_bytes == 2 else "8000")
    if rate == "8000":
        return encoding, 8000
    if rate == "16000":
        return encoding, 16000
    raise Rejected(Reason.UNSUPPORTED_RATE, f"rate {rate[:20]!r}: want 8000 or 16000")


def _fields(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    try:
        fields = {name.lower(): (value or b"").decode() for name, value in headers}
    except UnicodeDecodeError:
        raise Rejected(Reason.INVALID_HEADER, "a header is not UTF-8") from None
    if not all(map(fields.get, _REQUIRED)):
        missing = [name for name in _REQUIRED if not fields.get(name)]
        raise Rejected(Reason.MISSING_HEADER, f"missing {', '.join(missing)}")
    if fields["ce_specversion"] != "1.0":
        raise Rejected(Reason.INVALID_HEADER, f"ce_specversion {fields['ce_specversion'][:20]!r}: want 1.0")
    if fields["ce_type"] != CHUNK_TYPE:
        raise Rejected(Reason.INVALID_HEADER, f"ce_type {fields['ce_type'][:80]!r}: want {CHUNK_TYPE}")
    return fields


def _stream_of(key: bytes | None, fields: dict[str, str]) -> tuple[str, str]:
    text = (key or b"").decode(errors="replace")
    call_id, slash, channel = text.partition("/")
    if not slash:
        raise Rejected(Reason.INVALID_KEY, f"key {text[:80]!r}: want call_id/channel")
    if fields.get("ce_subject", text) != text:
        raise Rejected(Reason.INVALID_KEY, "ce_subject differs from the record's key")
    return call_id, channel


def _integer(fields: dict[str, str], name: str) -> int:
    text = fields[name]
    if not (text.isdecimal() and text.isascii() and len(text) <= 18):
        raise Rejected(Reason.INVALID_HEADER, f"{name} {text[:40]!r}: want a whole number")
    return int(text)


def _flag(fields: dict[str, str], name: str) -> bool:
    text = fields.get(name, "false").lower()
    if text not in ("true", "false"):
        raise Rejected(Reason.INVALID_HEADER, f"{name} {text[:20]!r}: want true or false")
    return text == "true"

"""Record headers as JSON Schemas: the part of the contract that pydantic's message models cannot show.

Kafka's header values are bytes; these schemas describe them as UTF-8 text.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.audio import CHUNK_TYPE, Role
from schemas.dead_letters import Reason

_INTEGER = r"^[0-9]{1,18}$"


class ChunkHeaders(BaseModel):
    """Headers of a record of `call-audio`: CloudEvents 1.0 in binary mode.

    Header names are compared without regard to case. Other headers are allowed and ignored.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    ce_specversion: Literal["1.0"]
    ce_id: str = Field(min_length=1, description="Distinct for each chunk of a source; `source` and `id` name it.")
    ce_source: str = Field(min_length=1, description="URI reference of the producer.")
    ce_type: Literal["undertone.audio.chunk.v1"] = Field(description=f"Always {CHUNK_TYPE}.")
    ce_subject: str | None = Field(default=None, description="`call_id/channel`: equal to the record's key.")
    ce_role: Role = Field(description="Who speaks on this channel.")
    ce_sequence: str = Field(pattern=_INTEGER, description="0 for a stream's first chunk, then one more for each.")
    ce_firstsample: str = Field(pattern=_INTEGER, description="Index of the chunk's first sample in the stream.")
    ce_starttime: str = Field(
        json_schema_extra={"format": "date-time"},
        description="Moment of the stream's sample 0, RFC 3339 with a zone; the same in all chunks of the stream.",
    )
    ce_endofstream: Literal["true", "false"] = Field(default="false", description="`true` on the stream's last chunk.")
    content_type: str = Field(
        alias="content-type",
        pattern=r"^audio/(L16|PCMU|PCMA)(;.*)?$",
        description=(
            "`audio/L16;rate=R` (big-endian; little-endian with `;endianness=little-endian`), `audio/PCMU;rate=R` or "
            "`audio/PCMA;rate=R`; R is 8000 or 16000; `channels` is 1 where it is given."
        ),
    )
    traceparent: str | None = Field(
        default=None, description="W3C Trace Context. Events whose sound ends in this chunk carry it, too."
    )


class StructuredHeaders(BaseModel):
    """Headers of a record that carries a CloudEvent in structured JSON."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    content_type: Literal["application/cloudevents+json; charset=UTF-8"] = Field(alias="content-type")
    traceparent: str | None = Field(
        default=None, description="On events: that of the chunk in which the event's sound ends."
    )


class DeadLetterHeaders(BaseModel):
    """Headers that a dead letter has beside those of the message that it was."""

    model_config = ConfigDict(frozen=True)

    undertone_reason: Reason = Field(description="The kind of fault, as counted by the metrics.")
    undertone_detail: str = Field(max_length=300, description="One line for a person.")
    undertone_topic: str = Field(description="Where the message lay.")
    undertone_partition: str = Field(pattern=_INTEGER)
    undertone_offset: str = Field(pattern=_INTEGER)
    undertone_service: str = Field(description="Who refused it.")
    undertone_version: str = Field(description="The version of that service.")

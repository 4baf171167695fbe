"""`dead-letters`: the message as it came, with headers that say what was wrong, where, and which version saw it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Reason(StrEnum):
    """Why a message could not be used; also the `reason` label of the dead-letter counter."""

    MISSING_HEADER = "missing_header"
    INVALID_HEADER = "invalid_header"
    INVALID_KEY = "invalid_key"
    UNSUPPORTED_CONTENT_TYPE = "unsupported_content_type"
    UNSUPPORTED_RATE = "unsupported_rate"
    ODD_BYTE_COUNT = "odd_byte_count"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    RATE_CHANGED = "rate_changed"
    OUT_OF_ORDER = "out_of_order"
    AFTER_END = "after_end"
    TOO_MANY_STREAMS = "too_many_streams"
    INVALID_LABEL = "invalid_label"
    UNKNOWN_EVENT = "unknown_event"
    INVALID_MODEL = "invalid_model"
    PROCESSING_FAILED = "processing_failed"
    CORRUPT_RECORD = "corrupt_record"
    INVALID_STATE = "invalid_state"
    INVALID_EVENT = "invalid_event"
    NOT_DELIVERED = "not_delivered"


class Rejected(Exception):
    """A message that goes to `dead-letters`: `reason` is the counted kind, `detail` one line for a person.

    `detail` is cut at 200 characters and loses what cannot be printed: parts of it are the sender's.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        detail = "".join(character if character.isprintable() else "?" for character in detail[:200])
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DeadLetter(BaseModel):
    """The headers that a dead letter adds to those of the message; key and value stay as they came."""

    model_config = ConfigDict(frozen=True)

    reason: Reason
    detail: str
    topic: str
    partition: int
    offset: int
    service: str
    version: str

    def headers(self) -> list[tuple[str, bytes]]:
        """The record's headers, each named `undertone_<field>`."""
        return [(f"undertone_{name}", str(value).encode()) for name, value in self.model_dump().items()]

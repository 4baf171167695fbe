"""Why the gateway turns a connection, a call or a message away; each wire says it with its protocol's own error."""

from enum import StrEnum


class Refusal(StrEnum):
    """The reasons: labels of `undertone_gateway_refused_total`, and what a wire looks up its error code by."""

    KAFKA_AWAY = "kafka_away"
    DRAINING = "draining"
    TOO_MANY_CALLS = "too_many_calls"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    INVALID_CALL_ID = "invalid_call_id"
    UNKNOWN_CALL = "unknown_call"
    ALREADY_OPEN = "already_open"
    UNAUTHORIZED = "unauthorized"
    MALFORMED = "malformed"
    MESSAGE_TOO_LARGE = "message_too_large"
    TOO_FAST = "too_fast"
    CALL_TOO_LARGE = "call_too_large"
    IDLE = "idle"


class Refused(Exception):
    """The gateway does not take this, or no more of it. `text` is one line for the other side and for the log."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class MalformedMessage(ValueError):
    """What came is no message of the protocol; one line says why. Parsers raise nothing else."""

"""Dead letters: the message as it came, and what was wrong with it."""

import logging
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import Role
from schemas.dead_letters import DeadLetter, Reason, Rejected
from undertone.messaging.fetched_records import UnreadableRecordsError

log = logging.getLogger(__name__)

# The topic takes 2 MiB: room for the largest message that call-audio takes by default (1,048,588 bytes) and for our
# headers. A topic with a larger limit must not be able to stop a worker, so what is larger goes without its content.
MAX_COPIED_BYTES = 1_200_000
# What a header costs beside its name and value: two lengths of at most 4 bytes each.
_HEADER_BYTES = 8
_OURS, _SENDERS = "undertone_", "sent_"
# `agent`, `agent-2`: how producers of ours name an agent's channel.
_AGENTS_KEY = re.compile(rb"[^/]*/agent(-[0-9]+)?", re.IGNORECASE)

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Which dead letters keep the message's value: none, or all but the audio of agents who are not analysed."""

    values: bool = True
    agents: bool = False

    def keeps_value(self, record: ConsumerRecord) -> bool:
        """Whether the letter for `record` has its value."""
        return self.values and (self.agents or not _is_of_agent(record))


def dead_letter(
    record: ConsumerRecord, rejected: Rejected, service: str, *, with_value: bool = True
) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of the letter for a message that `service` could not use.

    Without its value it keeps its key and headers, and the detail says how many bytes are left out.
    """
    key, value, headers, detail = record.key, record.value, _headers(record), rejected.detail
    size = _size(record, headers)
    if size > MAX_COPIED_BYTES:
        key, value, headers = None, b"", []
        detail = f"{detail} (not copied: {size} bytes)"
    elif value and not with_value:
        detail = f"{detail} (not kept: {len(value)} bytes)"
        value = b""
    if key is None and value is None:
        value = b""  # Kafka has no record without both, though it lets others write one
    letter = DeadLetter(
        reason=rejected.reason,
        detail=detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        service=service,
        version=service_version(),
    )
    return key, value, headers + letter.headers()


def unreadable(error: UnreadableRecordsError) -> tuple[ConsumerRecord, Rejected]:
    """The dead letter for damaged records: where they lie, for there is nothing of them that could be kept."""
    place = error.partition
    record = ConsumerRecord(
        **dict.fromkeys(ConsumerRecord._fields)
        | {"topic": place.topic, "partition": place.partition, "offset": error.offset, "headers": []}
    )
    detail = f"offsets {error.offset} to {error.next_offset - 1} are damaged: {error.cause}"
    log.error("%s, partition %d: %s; they are skipped", place.topic, place.partition, detail)
    return record, Rejected(Reason.CORRUPT_RECORD, detail)


def service_version() -> str:
    """The installed version of this project."""
    try:
        return version("undertone")
    except PackageNotFoundError:
        return "unknown"


def _is_of_agent(record: ConsumerRecord) -> bool:
    """Whether a record of `call-audio`, valid or not, holds an agent's audio: its role says so, or else its channel."""
    role = next((value or b"" for name, value in record.headers if name.lower() == "ce_role"), b"")
    said = role.decode(errors="replace").strip().lower()
    if said in set(Role):
        return said == Role.AGENT
    return _AGENTS_KEY.fullmatch(record.key or b"") is not None


def _headers(record: ConsumerRecord) -> Headers:
    """The sender's headers. One that bears a name of ours gets another: a sender must not say why we refused it."""
    return [
        (_SENDERS + name if name.lower().startswith(_OURS) else name, value or b"") for name, value in record.headers
    ]


def _size(record: ConsumerRecord, headers: Headers) -> int:
    # Names in bytes: one that was no UTF-8 grows to three times its length where it is written again.
    of_headers = sum(len(name.encode()) + len(value) + _HEADER_BYTES for name, value in headers)
    return len(record.key or b"") + len(record.value or b"") + of_headers

"""Dead letters: the message as it came, and what was wrong with it."""

from importlib.metadata import PackageNotFoundError, version

from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import DeadLetter, Rejected

# The topic takes 2 MiB: room for the largest message that call-audio takes by default (1,048,588 bytes) and for our
# headers. A topic with a larger limit must not be able to stop a worker, so what is larger goes without its content.
MAX_COPIED_BYTES = 1_200_000

Headers = list[tuple[str, bytes]]


def dead_letter(record: ConsumerRecord, rejected: Rejected, service: str) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of the letter for a message that `service` could not use."""
    key, value, headers, detail = record.key, record.value, _headers(record), rejected.detail
    size = len(key or b"") + len(value or b"") + sum(len(name) + len(text) for name, text in headers)
    if size > MAX_COPIED_BYTES:
        key, value, headers = None, b"", []
        detail = f"{detail} (not copied: {size} bytes)"
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


def service_version() -> str:
    """The installed version of this project."""
    try:
        return version("undertone")
    except PackageNotFoundError:
        return "unknown"


def _headers(record: ConsumerRecord) -> Headers:
    return [(name, value or b"") for name, value in record.headers]

"""Until when topics still hold what has been written to them by now, from how they are configured."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from schemas.errors import UserError
from schemas.topics import Topics

_NAMES = ("cleanup.policy", "retention.ms", "segment.ms", "max.compaction.lag.ms", "delete.retention.ms")
# Kafka looks for old segments every 5 minutes, and deletes their files a minute later.
_DELAY_MS = 6 * 60_000
# A century: Kafka's "for ever" is the largest number.
_FOR_GOOD_MS = 100 * 365 * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One topic: until when it may hold a call that has ended by now (None: for good), and what decides that."""

    topic: str
    until: datetime | None
    why: str


def kept(client: KafkaAdminClient, topics: Topics, now: datetime | None = None) -> list[Kept]:
    """Every topic that holds something of calls.

    Raises:
        UserError: Kafka does not say how the topics are configured.
    """
    wanted = [topic.name for topic in topics.all if topic.name != topics.models.name]
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, list(_NAMES)) for name in wanted]
    try:
        found = client.describe_configs(resources, config_filter="all")["topic"]
    except KafkaError as error:
        raise UserError(f"Kafka did not say how the topics are configured: {error}") from error
    now = now or datetime.now(UTC)
    return [_kept(name, {key: str(entry["value"]) for key, entry in found[name].items()}, now) for name in wanted]


def _kept(name: str, config: Mapping[str, str], now: datetime) -> Kept:
    segment_ms = int(config["segment.ms"])
    if "delete" in config["cleanup.policy"]:
        # A segment goes when its newest record is too old, and it is filled for up to segment.ms.
        retention_ms = int(config["retention.ms"])
        ages = [retention_ms, segment_ms]
        why = f"retention.ms {_length(retention_ms)}, segment.ms {_length(segment_ms)}"
    else:
        # The state goes when its segment is cleaned; the tombstone, which has the call's name, some time after.
        lag_ms, tombstone_ms = int(config["max.compaction.lag.ms"]), int(config["delete.retention.ms"])
        ages = [lag_ms, segment_ms, tombstone_ms]
        why = f"compaction within {_length(lag_ms)}, then the tombstone for {_length(tombstone_ms)}"
    if any(age < 0 or age > _FOR_GOOD_MS for age in ages):
        return Kept(name, None, why)
    return Kept(name, now + timedelta(milliseconds=sum(ages) + _DELAY_MS), why)


def _length(milliseconds: int) -> str:
    if not 0 <= milliseconds <= _FOR_GOOD_MS:
        return "without end"
    hours = milliseconds / 3_600_000
    return f"{hours / 24:g} d" if hours >= 48 else f"{hours:g} h" if hours >= 1 else f"{milliseconds / 60_000:g} min"

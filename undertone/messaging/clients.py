"""Kafka clients with the options this project depends on, and one clear line where there is no Kafka."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

from schemas.errors import UserError
from undertone.messaging.partitioner import KeyPartitioner
from undertone.messaging.selecting import QuickSelector
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import ask_at_once, mend

# A model bundle is one record of a few MB; the limit that counts is the topic's own max.message.bytes.
MAX_REQUEST_BYTES = 17 * 1024 * 1024

# Nobody reads what the client counts of itself; counting was a seventh of what a transaction costs.
_METRICS = False

# The client retries by itself and whoever waits for it reports; its warnings would fill the terminal.
logging.getLogger("kafka").setLevel(logging.ERROR)


class KafkaAway(UserError):
    """No broker answers at this address now: a wrong address, or one whose brokers are not up yet."""


Client = TypeVar("Client", KafkaConsumer, KafkaProducer, KafkaAdminClient)


def group_consumer(
    settings: KafkaSettings, group_id: str, instance_id: str | None = None, **options: Any
) -> KafkaConsumer:
    """A member of a consumer group that commits only when told to and sees committed records only.

    `instance_id` makes it a static member: a restart under the same name moves no partitions.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    membership = {
        "group_id": group_id,
        "group_instance_id": instance_id,
        "partition_assignment_strategy": [CooperativeStickyAssignor()],
        "auto_offset_reset": "earliest",
    }
    return reader(settings, **membership | options)


def reader(settings: KafkaSettings, **options: Any) -> KafkaConsumer:
    """A consumer that sees committed records only and is in no group, unless `options` name one.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    defaults = {
        "metrics_enabled": _METRICS,
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
    }
    consumer = _connect(KafkaConsumer, settings, defaults | options)
    ask_at_once(consumer)
    return consumer


def idempotent_producer(settings: KafkaSettings, **options: Any) -> KafkaProducer:
    """A producer whose retries neither repeat nor reorder. It has no bound on memory: bound what is in flight.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    defaults = {
        "metrics_enabled": _METRICS,
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": "lz4",
        # The most that idempotence allows; more would lose the order.
        "max_in_flight_requests_per_connection": 5,
        "max_request_size": MAX_REQUEST_BYTES,
        "allow_auto_create_topics": False,
        "partitioner": KeyPartitioner(),
    }
    return _connect(KafkaProducer, settings, defaults | options)


def audio_producer(settings: KafkaSettings) -> KafkaProducer:
    """The producer of audio chunks: many small records a second, filled into batches.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    # 256 KiB holds 16 chunks of half a second at 16 kHz. 10 ms of waiting is nothing beside a chunk's own length
    # and lets the chunks of concurrent calls share a request.
    return idempotent_producer(settings, linger_ms=10, batch_size=256 * 1024)


def transactional_producer(settings: KafkaSettings, transactional_id: str, **options: Any) -> KafkaProducer:
    """A producer for exactly-once transactions; call `init_transactions()` first, it fences an older twin.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    # The broker refuses a transaction while it still writes the markers of the last one; with the default of
    # 100 ms each following transaction costs 105 ms, with 5 ms it costs 5.
    defaults = {"transactional_id": transactional_id, "retry_backoff_ms": 5}
    return idempotent_producer(settings, **defaults | options)


def admin(settings: KafkaSettings) -> KafkaAdminClient:
    """A client that creates and describes topics.

    Raises:
        UserError: no Kafka answers within `settings.connect_timeout_s`.
    """
    return _connect(KafkaAdminClient, settings, {})


def _connect(make: Callable[..., Client], settings: KafkaSettings, options: dict[str, Any]) -> Client:
    mend()
    with _last_reason() as reason:
        try:
            return make(**settings.client_options() | {"selector": QuickSelector} | options)
        except (KafkaTimeoutError, KafkaConnectionError) as exc:
            why = f" ({reason[-1]})" if reason and "ECONNREFUSED" not in reason[-1] else ""
            raise KafkaAway(
                f"no Kafka at {settings.bootstrap_servers}{why}: start one with `undertone broker`,"
                " or set UNDERTONE_BOOTSTRAP_SERVERS"
            ) from exc
        except (KafkaError, OSError) as exc:
            raise UserError(f"Kafka at {settings.bootstrap_servers} cannot be used: {exc}") from exc


@contextmanager
def _last_reason() -> Iterator[list[str]]:
    """Collects why attempts to connect fail: the client tells its log only, and then just times out."""
    reasons: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            errors = (arg for arg in record.args if isinstance(arg, KafkaError | OSError))
            reasons.extend(str(error) for error in errors if not isinstance(error, KafkaTimeoutError))
        return False

    logs = [logging.getLogger(f"kafka.net.{name}") for name in ("manager", "connection")]
    for log in logs:
        log.addFilter(keep)
        log.setLevel(logging.WARNING)
    try:
        yield reasons
    finally:
        for log in logs:
            log.removeFilter(keep)
            log.setLevel(logging.NOTSET)

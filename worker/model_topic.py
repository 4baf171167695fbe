"""The worker's reader of `models`: each record once, as it comes, and single bundles again where they are asked for."""

import time
from collections.abc import Iterator

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from schemas.topics import Topics
from undertone.messaging.clients import reader
from undertone.messaging.reading import UnfinishedRead, partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.registry.state import Place, RegistryState

# Kafka is away, or a transaction on the topic does not end: whoever waits can do something better.
_READ_S = 30.0
_POLL_MS = 100


class ModelTopic:
    """A client outside of the group: every worker reads the topic whole. `state` is what it has been told to note."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._client = reader(kafka, auto_offset_reset="earliest")
        self._asked: tuple[Place, int] | None = None  # a bundle to fetch, and the offset to come back to
        self.state = RegistryState()

    def close(self) -> None:
        """Let go of the client."""
        self._client.close()

    def read_all(self) -> Iterator[ConsumerRecord]:
        """Every record on the topic as it is now; `next` goes on behind them."""
        yield from records_of(self._kafka, self._client)

    def next(self) -> ConsumerRecord | None:
        """The next record, if one is here; asks for more without waiting for them."""
        return self._poll(0)

    @property
    def fetching(self) -> bool:
        """Whether a bundle was asked for that has not come yet."""
        return self._asked is not None

    def ask(self, place: Place) -> None:
        """Ask for a bundle that was read before; `fetched` gives it."""
        back = self._client.position(place.partition, timeout_ms=0)
        if back is not None:  # else Kafka is away
            self._client.seek(place.partition, place.offset)
            self._asked = place, back

    def fetched(self, wait_ms: int = 0) -> ConsumerRecord | None:
        """The bundle that was asked for, once it is here. One that compaction has taken is forgotten."""
        record = self._poll(wait_ms) if self._asked else None
        if record is None or self._asked is None:
            return None
        (place, back), self._asked = self._asked, None
        self._client.seek(place.partition, back)
        if record.offset != place.offset:
            self.state.forget(place)
            return None
        return record

    def fetch(self, place: Place) -> ConsumerRecord | None:
        """`ask`, and wait for it.

        Raises:
            KafkaTimeoutError: Kafka does not give it.
        """
        self.ask(place)
        end = time.monotonic() + _READ_S
        while self.fetching:
            if record := self.fetched(_POLL_MS):
                return record
            if time.monotonic() > end:
                raise KafkaTimeoutError(f"models does not give offset {place.offset} within {_READ_S:.0f} s")
        return None

    def _poll(self, wait_ms: int) -> ConsumerRecord | None:
        # One at a time: a bundle has megabytes.
        polled = self._client.poll(timeout_ms=wait_ms, max_records=1)
        return next((record for records in polled.values() for record in records), None)


def records_of(kafka: KafkaSettings, client: KafkaConsumer) -> Iterator[ConsumerRecord]:
    """Every record on the topic as it is now. The client is left at its end.

    Raises:
        KafkaTimeoutError: it cannot be read to its end now.
        UserError: there is no such topic.
    """
    partitions = partitions_of(client, Topics(kafka.topic_prefix).models.name)
    end = time.monotonic() + _READ_S
    try:
        yield from read_to_end(kafka, client, partitions, lambda: time.monotonic() > end)
    except UnfinishedRead:
        raise KafkaTimeoutError(f"models cannot be read to its end within {_READ_S:.0f} s") from None

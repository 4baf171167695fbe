"""Messages that a service cannot use go to `dead-letters`, before the positions behind them are kept."""

from collections.abc import Callable, Iterable

from kafka import KafkaProducer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from schemas.dead_letters import Reason, Rejected
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.dead_letters import dead_letter
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import close_at_once

_TIMEOUT_S = 60
_CLOSE_S = 5


class Letters:
    """Writes them. A service that is killed between a letter and the position writes it again: at least once.

    Args:
        count: told the reason of each letter that Kafka has.
        failed: told what went wrong while closing.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        service: str,
        count: Callable[[Reason], None],
        failed: Callable[[KafkaError], None],
    ) -> None:
        self._kafka = kafka
        self._topic = topic
        self._service = service
        self._count = count
        self._failed = failed
        self._producer: KafkaProducer | None = None  # most never need one

    def send(self, letters: Iterable[tuple[ConsumerRecord, Rejected]]) -> None:
        """Write letters, and return when Kafka has them.

        Raises:
            KafkaError: it does not take them.
        """
        sent = []
        for record, rejected in letters:
            self._producer = self._producer or idempotent_producer(self._kafka)
            key, value, headers = dead_letter(
                record, rejected, self._service, with_value=self._kafka.dead_letter_values
            )
            sent.append((rejected.reason, self._producer.send(self._topic, key=key, value=value, headers=headers)))
        for _, future in sent:
            future.get(_TIMEOUT_S)
        for reason, _ in sent:
            self._count(reason)

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer:
            try:
                close_at_once(self._producer, _CLOSE_S)
            except KafkaError as error:
                self._failed(error)

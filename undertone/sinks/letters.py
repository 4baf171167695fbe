"""Events that a target does not get go to `dead-letters`, before the positions behind them are kept."""

from kafka import KafkaProducer
from kafka.errors import KafkaError

from undertone.messaging.clients import idempotent_producer
from undertone.messaging.dead_letters import dead_letter
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.workarounds import close_at_once
from undertone.sinks.metrics import SinkMetrics
from undertone.sinks.target import DeadLetters

_TIMEOUT_S = 60
_CLOSE_S = 5


class Letters:
    """Writes them. A sink that is killed between a letter and the position writes it again: at least once."""

    def __init__(self, kafka: KafkaSettings, topic: str, service: str, metrics: SinkMetrics) -> None:
        self._kafka = kafka
        self._topic = topic
        self._service = service
        self._metrics = metrics
        self._producer: KafkaProducer | None = None  # most sinks never need one

    def send(self, letters: DeadLetters) -> None:
        """Write letters, and return when Kafka has them.

        Raises:
            KafkaError: it does not take them.
        """
        if not letters:
            return
        self._producer = self._producer or idempotent_producer(self._kafka)
        sent = []
        for record, rejected in letters:
            key, value, headers = dead_letter(
                record, rejected, self._service, with_value=self._kafka.dead_letter_values
            )
            sent.append(self._producer.send(self._topic, key=key, value=value, headers=headers))
        for future in sent:
            future.get(_TIMEOUT_S)
        for _, rejected in letters:
            self._metrics.dead_letters.labels(rejected.reason).inc()

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer:
            try:
                close_at_once(self._producer, _CLOSE_S)
            except KafkaError as error:
                self._metrics.error("kafka", error)

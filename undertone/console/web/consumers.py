"""Consumers for reading a few records at some place, each used by one thread at a time."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from schemas.errors import UserError
from undertone.messaging.clients import reader
from undertone.messaging.settings import KafkaSettings

ANSWER_MS = 5_000


class Away(Exception):
    """Kafka does not answer."""


class Consumers:
    """So many at most; who wants one more waits."""

    def __init__(self, kafka: KafkaSettings, most: int) -> None:
        self._kafka = kafka
        self._free: queue.LifoQueue[KafkaConsumer | None] = queue.LifoQueue()
        for _ in range(most):
            self._free.put(None)

    @contextmanager
    def one(self) -> Iterator[KafkaConsumer]:
        """A consumer that nobody else uses meanwhile; one that has failed is not used again.

        Raises:
            Away: Kafka does not answer.
        """
        consumer = self._free.get()
        try:
            consumer = consumer or reader(self._kafka, auto_offset_reset="earliest")
            yield consumer
        except (KafkaError, KeyError, UserError, OSError) as error:  # KeyError as in `ends_that_answer`
            if consumer:
                consumer.close()
            consumer = None
            raise Away(str(error)) from error
        finally:
            self._free.put(consumer)

    def close(self) -> None:
        """Close them; nobody may read meanwhile."""
        while not self._free.empty():
            if consumer := self._free.get_nowait():
                consumer.close()

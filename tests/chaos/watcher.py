"""Reads `emotion-events` while a run goes on, as a service would, and once more from the start when it is over."""

import threading
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import UserError
from schemas.events import EventEnvelope
from undertone.messaging.clients import reader
from undertone.messaging.settings import KafkaSettings

_POLL_MS = 300


class Seen(NamedTuple):
    """One committed record."""

    partition: int
    offset: int
    value: bytes


class Watcher:
    """A read_committed reader in a thread, from the topic's start; it outlives whatever happens to the brokers."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.seen: list[Seen] = []
        self._settings = settings
        self._topic = topic
        self._next: dict[int, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def close(self) -> list[Seen]:
        """Stop reading; returns all that was seen."""
        self._ending.set()
        self._thread.join(60)
        return self.seen

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with closing(reader(self._settings, auto_offset_reset="earliest")) as consumer:
                    self._watch(consumer)
            except (KafkaError, UserError, OSError):
                self._ending.wait(0.5)  # the brokers are away; it goes on where it stood

    def _watch(self, consumer: KafkaConsumer) -> None:
        partitions = assign_all(consumer, self._topic)
        for partition in partitions:
            consumer.seek(partition, self._next.get(partition.partition, 0))
        while not self._ending.is_set():
            for record in (record for some in consumer.poll(timeout_ms=_POLL_MS).values() for record in some):
                self.seen.append(Seen(record.partition, record.offset, record.value))
                self._next[record.partition] = record.offset + 1


def assign_all(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Take every partition of a topic, from the start."""
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise KafkaError(f"nobody knows {topic} at the moment")
    partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    consumer.seek_to_beginning()
    return partitions


def envelopes(seen: Iterable[Seen]) -> list[EventEnvelope]:
    """The events."""
    return [EventEnvelope.model_validate_json(record.value) for record in seen]


def same(watched: Iterable[Seen], read: Iterable[Seen]) -> bool:
    """Whether the reader of the run saw what one that comes afterwards sees, in the same order by partition."""
    sides: list[dict[int, list[Seen]]] = [{}, {}]
    for side, records in zip(sides, (watched, read), strict=True):
        for record in records:
            side.setdefault(record.partition, []).append(record)
    return sides[0] == sides[1]

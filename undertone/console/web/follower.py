"""A thread that reads topics in their order, from positions that somebody keeps together with what they make of it."""

import heapq
import logging
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.errors import UserError, one_line
from undertone.messaging.clients import admin, reader
from undertone.messaging.fetched_records import UnreadableRecordsError
from undertone.messaging.reading import answers, end_offsets, partitions_of
from undertone.messaging.settings import KafkaSettings

_POLL_MS = 250
# Between tries: 1 s, then twice as long each time; a right that is missing is not asked for every second.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
# As the console's feed does: after so long without a record Kafka is asked whether it is there.
_ASK_S = 3.0
_ANSWER_MS = 2_000
_METADATA_MS = 30_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reach:
    """What Kafka holds of a partition: offsets [first, end)."""

    first: int
    end: int

    def clip(self, position: int | None) -> int | None:
        """A position that was kept, or the first that is left behind it; None where it was another partition's."""
        if position is None or position > self.end:
            return None
        return max(position, self.first)


class Follows(Protocol):
    """Who takes what is read. Both are called in the follower's thread."""

    def begin(
        self, consumer: KafkaConsumer, reaches: Mapping[TopicPartition, Reach], ids: Mapping[str, str]
    ) -> Mapping[TopicPartition, int]:
        """Where each partition is to be read from, for topics with these ids; called again after each outage."""

    def take(self, records: Sequence[ConsumerRecord], positions: Mapping[TopicPartition, int], *, live: bool) -> None:
        """Records, or none in a quarter of a second, and where reading stands after them.

        `live`: nothing is left that was there when the reading began, and Kafka answers.
        """


class Follower:
    """Reads until it is stopped; what fails is tried again from the positions that are kept."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str], follows: Follows, name: str) -> None:
        self._kafka = kafka
        self._topics = topics
        self._follows = follows
        self._stop = threading.Event()
        self._pause_s = _PAUSE_S
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.started = threading.Event()
        """It knows from where on it reads: what is written from now on is seen."""
        self.away = ""
        """Why it cannot read, or keep what it has read; empty where it can."""
        self.caught_up = threading.Event()
        """All is read that was there when the reading began."""

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more, and wait until the reading has ended."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(self._reader()) as consumer:
                    self._read(consumer)
            except OffsetOutOfRangeError as error:
                _log.warning("%s: what was to be read next is not there any more: %s", self._thread.name, error)
            except (KafkaError, UserError, OSError, sqlite3.Error) as error:
                self.away = one_line(error) or type(error).__name__
                _log.warning("%s: %s; trying again", self._thread.name, error)
                self._stop.wait(self._pause_s)
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _reader(self) -> KafkaConsumer:
        return reader(self._kafka, auto_offset_reset="none", metadata_max_age_ms=_METADATA_MS, max_poll_records=1_000)

    def _read(self, consumer: KafkaConsumer) -> None:
        """One consumer's life: until it is to stop, or a topic has more partitions."""
        partitions = partitions_of(consumer, *self._topics)
        consumer.assign(partitions)
        ends = end_offsets(self._kafka, partitions)
        firsts = consumer.beginning_offsets(partitions)
        reaches = {one: Reach(firsts[one], ends[one]) for one in partitions}
        positions = dict(self._follows.begin(consumer, reaches, self._ids()))
        for partition, position in positions.items():
            consumer.seek(partition, position)
        self.started.set()
        heard, behind, away = time.monotonic(), set(partitions), False
        while not self._stop.is_set():
            polled = self._poll(consumer, positions)
            if polled:
                heard, self._pause_s = time.monotonic(), _PAUSE_S
            elif time.monotonic() - heard > _ASK_S:
                answered = answers(consumer, partitions, _ANSWER_MS)
                if answered and away:
                    return  # what has come meanwhile is read before the clock goes on
                heard, away = time.monotonic(), not answered
            behind = {one for one in behind if (consumer.position(one) or 0) < ends[one]}
            if not behind:
                self.caught_up.set()
            records = heapq.merge(*polled.values(), key=lambda record: record.timestamp)
            self._follows.take(list(records), positions, live=not behind and not away)
            self.away = "Kafka does not answer" if away else ""
            if any(
                len(consumer.partitions_for_topic(topic) or ()) > self._count(partitions, topic)
                for topic in self._topics
            ):
                return

    def _poll(
        self, consumer: KafkaConsumer, positions: dict[TopicPartition, int]
    ) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        try:
            polled: Mapping[TopicPartition, list[ConsumerRecord]] = consumer.poll(timeout_ms=_POLL_MS)
        except UnreadableRecordsError as error:
            _log.error("%s; they are passed over", error)
            consumer.seek(error.partition, error.next_offset)
            return {}
        for partition, records in polled.items():
            positions[partition] = records[-1].offset + 1
        return polled

    def _ids(self) -> dict[str, str]:
        with closing(admin(self._kafka)) as client:
            return {one["name"]: str(one["topic_id"]) for one in client.describe_topics(list(self._topics))}

    @staticmethod
    def _count(partitions: Sequence[TopicPartition], topic: str) -> int:
        return sum(one.topic == topic for one in partitions)

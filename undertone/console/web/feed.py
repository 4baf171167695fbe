"""The one reader of `emotion-events`: a thread that reads committed events and hands them to the event loop."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from schemas.errors import UserError
from undertone.console.web.entries import Entry, entry_of
from undertone.console.web.metrics import ConsoleMetrics
from undertone.messaging.clients import reader
from undertone.messaging.reading import answers, end_offsets, partitions_of
from undertone.messaging.settings import KafkaSettings

_POLL_MS = 250
_POLL_RECORDS = 1_000
# What the loop has not taken yet; then the reading waits.
_BATCHES = 8
_PAUSE_S = 1.0
# After so long without an event Kafka is asked whether it is there, and given so long to answer.
_ASK_S = 3.0
_ANSWER_MS = 2_000
# How soon partitions that a topic gets are read; the client's own is five minutes.
_METADATA_MS = 30_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in Kafka's order, and where reading stands after them."""

    entries: Sequence[Entry]
    positions: Mapping[int, int]
    anew: bool = False
    """What was read before counts no more."""
    behind_ms: float | None = None
    """By how much the newest event's timestamp was behind this machine's clock; None where it was not read live."""


Take = Callable[[Batch, Callable[[], None]], None]


class Feed:
    """Reads from `back_s` seconds ago on. `take` gets a batch, and what to call when it is done with it."""

    def __init__(self, kafka: KafkaSettings, topic: str, back_s: float, metrics: ConsoleMetrics, take: Take) -> None:
        self._kafka = kafka
        self._topic = topic
        self._back_s = back_s
        self._metrics = metrics
        self._take = take
        self._stop = threading.Event()
        self._room = threading.BoundedSemaphore(_BATCHES)
        self._positions: dict[int, int] = {}
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.started = threading.Event()
        """It knows from where on it reads: what is written from now on is seen."""
        self.away = ""
        """Why Kafka cannot be read now; empty where it can."""

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
                # Kafka has deleted what was to be read next, or the topic is another one now: all begins anew.
                _log.warning("%s: what was to be read next is not there any more: %s", self._topic, error)
                self._positions.clear()
            except (KafkaError, UserError, OSError) as error:
                self.away = str(error)
                _log.warning("%s; trying again", error)
                self._stop.wait(_PAUSE_S)

    def _reader(self) -> KafkaConsumer:
        return reader(
            self._kafka,
            auto_offset_reset="none",
            metadata_max_age_ms=_METADATA_MS,
            max_poll_records=_POLL_RECORDS,
        )

    def _read(self, consumer: KafkaConsumer) -> None:
        """One consumer's life: until it is to stop, or the topic has more partitions."""
        partitions = partitions_of(consumer, self._topic)
        consumer.assign(partitions)
        anew = not self._positions
        for partition, offset in self._begin(consumer, partitions).items():
            consumer.seek(partition, offset)
            self._positions[partition.partition] = offset
        self._hand_over([], anew=anew)
        self.started.set()
        heard = time.monotonic()
        live = False
        while not self._stop.is_set():
            polled = consumer.poll(timeout_ms=_POLL_MS)
            live = live or not polled
            if polled:
                self.away, heard = "", time.monotonic()
            elif time.monotonic() - heard > _ASK_S:
                there = answers(consumer, partitions, _ANSWER_MS)
                self.away = "" if there else f"no answer from {self._kafka.bootstrap_servers}"
                heard = time.monotonic()
            found = [entry_of(record) for records in polled.values() for record in records]
            entries = [entry for entry in found if entry]
            self._metrics.unreadable.inc(len(found) - len(entries))
            for partition, records in polled.items():
                self._positions[partition.partition] = records[-1].offset + 1
            if polled:
                newest_ms = max(records[-1].timestamp for records in polled.values())
                self._hand_over(entries, behind_ms=time.time() * 1000 - newest_ms if live else None)
            if len(consumer.partitions_for_topic(self._topic) or ()) > len(partitions):
                return

    def _begin(self, consumer: KafkaConsumer, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where to read: where it stood, else so many seconds ago; a partition that came later, from its start."""
        new = [partition for partition in partitions if partition.partition not in self._positions]
        known = {one: self._positions[one.partition] for one in partitions if one not in new}
        if not new:
            return known
        if known:
            return known | dict(consumer.beginning_offsets(new))
        since_ms = int((time.time() - self._back_s) * 1000)
        ends = end_offsets(self._kafka, new)
        found = consumer.offsets_for_times(dict.fromkeys(new, since_ms)) if self._back_s else {}
        return {one: found[one].offset if found.get(one) else ends[one] for one in new}

    def _hand_over(self, entries: Sequence[Entry], *, anew: bool = False, behind_ms: float | None = None) -> None:
        while not self._room.acquire(timeout=_PAUSE_S):
            if self._stop.is_set():
                return
        self._take(Batch(entries, dict(self._positions), anew, behind_ms), self._room.release)

"""Reads the changelog, `worker-state`: the newest state of every stream of some partitions."""

import logging
import time
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaTimeoutError

from schemas.topics import Topics
from undertone.inference.model import Model
from undertone.inference.records import OpenRecord, read_record
from undertone.messaging.clients import reader
from undertone.messaging.dead_letters import unreadable
from undertone.messaging.fetched_records import UnreadableRecordsError
from undertone.messaging.reading import end_reader
from undertone.messaging.settings import KafkaSettings
from worker.batch import DeadLetters

log = logging.getLogger(__name__)

# The changelog mostly ends in a transaction's marker and no record: there is nothing that a fetch should wait for.
_POLL_MS = 20
# What a fetch may hold of one partition: the default of 1 MiB makes twenty fetches of 5,000 streams, 4 KB each.
_PARTITION_BYTES = 8 * 1024 * 1024
# A broker that does not answer in this time is asked again later: other partitions need not wait for it.
_ANSWER_MS = 1000


@dataclass(eq=False)
class Restore:
    """The restore of one partition, from the moment that it is asked for."""

    partition: int
    states: dict[str, ConsumerRecord] = field(default_factory=dict)
    """By stream; whole only when the restore is finished."""
    dead_letters: DeadLetters = field(default_factory=list)
    """Records that cannot be read."""
    end: int = 0
    """The changelog's next offset: 0 where no worker has ever written to it."""
    audio: range = range(0)
    """The offsets that `call-audio` holds."""
    replay_models: Set[str] = frozenset()
    """The versions with which audio is to be heard again, if any is."""
    models: dict[str, Model | None] = field(default_factory=dict)
    """Those that its streams go on with and the engine had not, by version; None where one is gone."""
    cancelled: bool = False
    """Set where the partition is revoked before the restore is finished."""
    homeless: bool = False
    """Whether `worker-state` has no such partition: it has fewer than `call-audio`."""
    began: float = field(default_factory=time.monotonic)

    def take(self, record: ConsumerRecord) -> None:
        """One more record of the changelog."""
        stream = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self.states.pop(stream, None)
        else:
            self.states[stream] = record

    @cached_property
    def model_versions(self) -> set[str]:
        """The models that its streams go on with, those that are closed for being idle among them; once it is whole.

        Every record is read for it, 20 us each, so it is done once, in the restorer's thread.
        """
        versions = set(self.replay_models)
        for record in self.states.values():
            with suppress(ValueError):  # whoever gives it to the engine says so
                state = read_record(record.value)
                going_on = state if isinstance(state, OpenRecord) else state.idle
                if going_on:
                    versions.add(going_on.version)
        return versions


class ChangelogReader:
    """Reads any number of partitions at once; each is finished on its own."""

    def __init__(self, settings: KafkaSettings, topics: Topics) -> None:
        self._topics = topics
        self._reading: dict[TopicPartition, Restore] = {}
        self._ends = end_reader(settings)
        try:
            self._changelog = reader(
                settings,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=_POLL_MS,
                max_partition_fetch_bytes=_PARTITION_BYTES,
                max_poll_records=10_000,
            )
        except BaseException:
            self._ends.close()
            raise

    def __contains__(self, restore: Restore) -> bool:
        """Whether a restore has been begun and is not finished."""
        return restore in self._reading.values()

    @property
    def busy(self) -> bool:
        """Whether there is anything to poll for."""
        return bool(self._reading)

    def begin(self, restore: Restore) -> bool:
        """Read a partition from its start to where it ends now. False where the broker does not tell where that is."""
        state = TopicPartition(self._topics.worker_state.name, restore.partition)
        audio = TopicPartition(self._topics.call_audio.name, restore.partition)
        # Asks for both topics in one request: between two of them kafka-python lets 100 ms pass.
        self._ends.assign([state, audio])
        if restore.partition not in self._ends.partitions_for_topic(state.topic):
            if not restore.homeless:
                log.error(
                    "%s has no partition %d: its calls wait until `undertone topics --raise` has given it one",
                    state.topic,
                    restore.partition,
                )
            restore.homeless = True
            return False
        try:
            restore.end = self._ends.end_offsets([state], timeout_ms=_ANSWER_MS)[state]
            first = self._ends.beginning_offsets([audio], timeout_ms=_ANSWER_MS)[audio]
            restore.audio = range(first, self._ends.end_offsets([audio], timeout_ms=_ANSWER_MS)[audio])
        except KafkaTimeoutError:
            return False
        restore.states.clear()  # of an attempt that has failed
        restore.dead_letters.clear()
        self._reading[state] = restore
        self._changelog.assign(list(self._reading))
        self._changelog.seek_to_beginning(state)
        return True

    def poll(self) -> list[Restore]:
        """Read on. Returns what is finished by now."""
        self._keep({state: restore for state, restore in self._reading.items() if not restore.cancelled})
        if not self._reading:
            return []
        try:
            for state, records in self._changelog.poll(timeout_ms=_POLL_MS).items():
                for record in records:
                    self._reading[state].take(record)
        except UnreadableRecordsError as error:
            # Its streams go on from an older state, as after a gap.
            self._reading[error.partition].dead_letters.append(unreadable(error))
            self._changelog.seek(error.partition, error.next_offset)
        left = {state: restore for state, restore in self._reading.items() if self._behind(state)}
        finished = [restore for state, restore in self._reading.items() if state not in left]
        self._keep(left)
        return finished

    @property
    def records_left(self) -> int:
        """How many offsets are still to be read."""
        return sum(self._behind(state) for state in self._reading)

    def close(self) -> None:
        """Give up what is not finished."""
        self._changelog.close()
        self._ends.close()

    def _keep(self, reading: dict[TopicPartition, Restore]) -> None:
        if len(reading) != len(self._reading):
            self._reading = reading
            self._changelog.assign(list(reading))

    def _behind(self, state: TopicPartition) -> int:
        # With a timeout of 0 it says what it knows. With none it would wait for the offsets of other partitions.
        position = self._changelog.position(state, timeout_ms=0) or 0
        return max(0, self._reading[state].end - position)

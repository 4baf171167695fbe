"""The loop that all sinks share: poll, collect, write, and go on behind what was written.

The target works in a thread of its own. Where it takes long, because it is slow or because a webhook is tried again,
this one goes on polling paused partitions, so that the group does not take it for dead.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, wait
from typing import ParamSpec, TypeVar

from kafka import KafkaConsumer
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

from undertone.messaging.dead_letters import unreadable
from undertone.messaging.fetched_records import UnreadableRecordsError
from undertone.messaging.letters import Letters
from undertone.observability.telemetry import Health
from undertone.sinks.buffer import Buffer
from undertone.sinks.metrics import SinkMetrics
from undertone.sinks.partitions import Partitions
from undertone.sinks.start_offset import StartOffsets
from undertone.sinks.target import Fenced, Source, Target
from undertone.storage.store import StoreAway

log = logging.getLogger(__name__)

_POLL_S = 0.5
_POLL_RECORDS = 5_000
# A target that takes longer than this is waited for by polling; one that takes longer than the second, said aloud.
_QUICK_S, _SLOW_S = 1.0, 15.0
_ANSWER_MS = 10_000

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class Loop:
    """One membership's loop. Run it until it is to stop, or it raises."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        partitions: Partitions,
        target: Target,
        source: Source,
        buffer: Buffer,
        letters: Letters,
        start_offsets: StartOffsets,
        thread: Executor,
        health: Health,
        metrics: SinkMetrics,
        stopping: Callable[[], bool],
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._target = target
        self._source = source
        self._buffer = buffer
        self._letters = letters
        self._start_offsets = start_offsets
        self._thread = thread
        self._health = health
        self._metrics = metrics
        self._stopping = stopping

    def run_once(self) -> bool:
        """One pass. Returns whether a batch was written.

        Raises:
            StoreAway: the target does not answer.
            Fenced: another process has taken over a partition.
            KafkaError: Kafka cannot be read, or did not take a dead letter or a position.
        """
        self._forget_gone()
        self._claim_new()
        waits_s = self._buffer.waits_s
        self._poll(_POLL_S if waits_s is None else min(_POLL_S, waits_s))
        self._tell_lag()
        self._forget_gone()  # what this poll took away
        return self._buffer.waits_s == 0 and self._write()

    def finish(self) -> None:
        """Write what has been read."""
        self._forget_gone()
        if self._buffer.waits_s is not None:
            self._write()

    def _forget_gone(self) -> None:
        gone = self._partitions.take_gone()
        for number in gone:
            self._buffer.drop(number)
            self._metrics.forget_partition(number)
        if gone:
            log.info("partitions %s: revoked", ",".join(map(str, gone)))

    def _claim_new(self) -> None:
        new = sorted(self._partitions.unclaimed)
        if not new:
            return
        if self._target.keeps_positions:
            kept = self._wait_for(self._target.claim, self._source, [partition.partition for partition in new])
        else:
            kept = {it.partition: self._consumer.committed(it, timeout_ms=_ANSWER_MS) for it in new}
        for partition in new:
            if partition not in self._partitions.unclaimed:
                continue  # it has left while the target was asked
            start = self._start_offsets.start(self._consumer, partition, kept[partition.partition])
            self._buffer.begin(partition.partition, start)
            self._consumer.seek(partition, start)
            self._consumer.resume(partition)
            self._partitions.unclaimed.discard(partition)
            log.info("partition %d: goes on at offset %d", partition.partition, start)

    def _poll(self, seconds: float) -> None:
        try:
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=_POLL_RECORDS)
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                start = self._start_offsets.out_of_range(self._consumer, partition, offset)
                self._consumer.seek(partition, start)
            return
        except UnreadableRecordsError as error:
            if error.partition in self._partitions.read:
                self._buffer.reject(*unreadable(error))
                self._consumer.seek(error.partition, error.next_offset)
            polled = {}
        read = self._partitions.read
        # With a timeout of 0 it says what it knows and waits for nobody.
        positions = {it.partition: self._consumer.position(it, timeout_ms=0) for it in read}
        records = [record for partition, found in polled.items() if partition in read for record in found]
        self._buffer.add(records, {number: place for number, place in positions.items() if place is not None})

    def _write(self) -> bool:
        batch, rejected = self._buffer.take()
        began = time.monotonic()
        try:
            self._letters.send(rejected)
            written = self._wait_for(self._target.write, self._source, batch, self._stopping)
            self._letters.send(written.rejected)
        except (StoreAway, Fenced, KafkaError) as error:
            self._metrics.batches.labels("fenced" if isinstance(error, Fenced) else "failed").inc()
            raise
        self._commit(written.positions)
        self._metrics.count(batch, written, time.monotonic() - began)
        return True

    def _commit(self, positions: Mapping[int, int]) -> None:
        """Where the target keeps the positions, the group's are for people and their tools only."""
        ours = {partition.partition: partition for partition in self._partitions.read}
        offsets = {ours[number]: OffsetAndMetadata(place) for number, place in positions.items() if number in ours}
        if not offsets:
            return
        if self._target.keeps_positions:
            self._consumer.commit_async(offsets)
        else:
            self._consumer.commit(offsets, timeout_ms=_ANSWER_MS)

    def _wait_for(
        self, call: Callable[Arguments, Answer], *arguments: Arguments.args, **options: Arguments.kwargs
    ) -> Answer:
        """What the target answers, in the group meanwhile."""
        future = self._thread.submit(call, *arguments, **options)
        began = time.monotonic()
        while not wait([future], timeout=_QUICK_S).done:
            if time.monotonic() - began > _SLOW_S:
                self._health.ready, self._health.waits_for = False, f"{self._target.name}, which takes long"
            self._stay_in_group()
        return future.result()

    def _stay_in_group(self) -> None:
        self._stopping()  # whoever asks is turning: see `SinkService`
        reading = self._partitions.read
        self._consumer.pause(*reading)
        try:
            self._poll(0.1)
        finally:
            self._consumer.resume(*(set(reading) & set(self._partitions.read)))

    def _tell_lag(self) -> None:
        for partition in self._partitions.read:
            end = self._consumer.highwater(partition)
            place = self._buffer.written(partition.partition)
            if end is not None and place is not None:
                self._metrics.lag.labels(str(partition.partition)).set(max(0, end - place))

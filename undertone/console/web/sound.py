"""The sound of calls, read from `call-audio` where and as long as it is there."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from numpy.typing import NDArray

from schemas.audio import AudioChunk
from schemas.dead_letters import Rejected
from schemas.events import AudioSpan
from undertone.acoustics.codecs import decode
from undertone.console.web.consumers import ANSWER_MS, Away, Consumers
from undertone.console.web.whereabouts import Whereabouts

# What is read at once: long enough that looking it up costs little, and 480 KB of memory at most.
BLOCK_S = 10
# Blocks that are kept: a call's waveform is asked for, and then it is listened to.
_KEPT = 64
# Of a call's partition, which it shares, ten seconds are some 5,000 records; without an event near by it may be more.
_MOST_RECORDS = 200_000
_POLL_MS, _POLL_RECORDS = 250, 500
# No record for so long though there must be some: Kafka is away.
_PATIENCE_S = 10.0
# A chunk's time in Kafka is later than that of its first sample, a clock may be wrong by this.
_SLACK_MS = 15_000


class SoundGone(Exception):
    """The topic does not hold any of it any more."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples of one stream, and which of them were in Kafka: a gap is silence."""

    samples: NDArray[np.int16]
    there: NDArray[np.bool_]


class Sounds:
    """Reads for several threads."""

    def __init__(self, consumers: Consumers, topic: str) -> None:
        self._consumers = consumers
        self._topic = topic
        self._blocks: OrderedDict[tuple[str, int, int], Sound] = OrderedDict()
        self._lock = Lock()

    def look(self, where: Whereabouts) -> None:
        """See whether any of a stream is there.

        Raises:
            SoundGone: Kafka has deleted all of it.
            Away: Kafka does not answer.
        """
        with self._consumers.one() as consumer:
            partition = TopicPartition(self._topic, where.partition)
            consumer.assign([partition])
            if where.last[-1][1] < consumer.beginning_offsets([partition], timeout_ms=ANSWER_MS)[partition]:
                raise SoundGone

    def span(self, where: Whereabouts, start: int, end: int) -> AudioSpan:
        """Between which records samples [start, end) lie, as events say it of themselves.

        Raises:
            SoundGone: Kafka has deleted some of them.
            Away: Kafka does not answer.
        """
        with self._consumers.one() as consumer:
            partition = TopicPartition(self._topic, where.partition)
            consumer.assign([partition])
            first = _first_offset(consumer, partition, where, start)
            if first < consumer.beginning_offsets([partition], timeout_ms=ANSWER_MS)[partition]:
                raise SoundGone
            last = max(first, where.offset_to(end))
        return AudioSpan(topic=self._topic, partition=where.partition, first_offset=first, last_offset=last)

    def read(self, where: Whereabouts, start: int, end: int) -> Sound:
        """Samples [start, end) of a stream; before its first and after those that events speak of there is silence.

        Raises:
            Away: Kafka does not answer.
        """
        sound = Sound(np.zeros(end - start, np.int16), np.zeros(end - start, bool))
        length = BLOCK_S * where.rate
        first_known, last_known = max(0, start), min(end, where.known)
        for number in range(first_known // length, -(-last_known // length)):
            block = self._block(where, number)
            first, last = max(first_known, number * length), min(last_known, (number + 1) * length)
            _copy(block, first - number * length, sound, first - start, last - first)
        return sound

    def forget(self, call_id: str) -> None:
        """Keep nothing of a call."""
        with self._lock:
            for key in [key for key in self._blocks if key[0].partition("/")[0] == call_id]:
                del self._blocks[key]

    def _block(self, where: Whereabouts, number: int) -> Sound:
        key = where.stream, where.start_ms, number
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
        length = BLOCK_S * where.rate
        start = number * length
        block = Sound(np.zeros(length, np.int16), np.zeros(length, bool))
        with self._consumers.one() as consumer:
            for chunk in self._chunks(consumer, where, start, min(start + length, where.known)):
                _lay(chunk, start, block)
        if start + length <= where.known:
            with self._lock:
                self._blocks[key] = block
                while len(self._blocks) > _KEPT:
                    self._blocks.popitem(last=False)
        return block

    def _chunks(self, consumer: KafkaConsumer, where: Whereabouts, start: int, end: int) -> Iterator[AudioChunk]:
        """The stream's chunks that may hold samples [start, end), in Kafka's order."""
        for record in self._records(consumer, where, start, end):
            if record.key != where.stream.encode():
                continue
            try:
                chunk = AudioChunk.from_record(record.key, record.value, record.headers)
            except Rejected:
                continue  # a worker has sent it to dead-letters
            begun_ms = chunk.start_time.timestamp() * 1000
            if chunk.sample_rate != where.rate or abs(begun_ms - where.start_ms) > 2:
                continue
            yield chunk
            if chunk.first_sample >= end:
                return

    def _records(self, consumer: KafkaConsumer, where: Whereabouts, start: int, end: int) -> Iterator[ConsumerRecord]:
        partition = TopicPartition(self._topic, where.partition)
        consumer.assign([partition])
        begin = consumer.beginning_offsets([partition], timeout_ms=ANSWER_MS)[partition]
        end_now = consumer.end_offsets([partition], timeout_ms=ANSWER_MS)[partition]
        position = max(begin, _first_offset(consumer, partition, where, start))
        stop = min(end_now, where.offset_to(end) + 1, position + _MOST_RECORDS)
        consumer.seek(partition, position)
        heard = time.monotonic()
        while position < stop:
            for record in consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS).get(partition, ()):
                if record.offset < stop:
                    yield record
                heard = time.monotonic()
            # Behind the last record there may be a marker, which is never given.
            position = consumer.position(partition)
            if time.monotonic() - heard > _PATIENCE_S:
                raise Away("no answer")


def _first_offset(consumer: KafkaConsumer, partition: TopicPartition, where: Whereabouts, start: int) -> int:
    """Where to begin to read for samples from this one on: by an event before them, else by the time."""
    first = where.offset_from(start)
    if first is not None:
        return first
    since_ms = where.begun_ms + 1000 * start // where.rate - _SLACK_MS
    found = consumer.offsets_for_times({partition: max(0, since_ms)})[partition]
    return int(found.offset) if found else where.offset_to(start)


def _lay(chunk: AudioChunk, start: int, block: Sound) -> None:
    """Put a chunk where it belongs in the block that begins at `start`; what came first stays."""
    samples = decode(chunk.audio, chunk.encoding)
    first, last = max(start, chunk.first_sample), min(start + len(block.samples), chunk.first_sample + len(samples))
    if first >= last:
        return
    there = block.there[first - start : last - start]
    came = samples[first - chunk.first_sample : last - chunk.first_sample]
    block.samples[first - start : last - start][~there] = came[~there]
    there[:] = True


def _copy(source: Sound, at: int, target: Sound, to: int, count: int) -> None:
    target.samples[to : to + count] = source.samples[at : at + count]
    target.there[to : to + count] = source.there[at : at + count]

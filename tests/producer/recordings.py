"""Recordings to send, how they are asked for, and what is on `call-audio` then."""

import math
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from producer.playback import PlaybackOptions
from producer.service import ProduceRequest
from schemas.audio import AudioChunk, Encoding, RecordPlace
from schemas.topics import Topics
from tests.support.sounds import SAMPLES
from undertone.acoustics.codecs import encode
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

CALL, CALM, PHONE = SAMPLES / "call.flac", SAMPLES / "calm.flac", SAMPLES / "phone.wav"
UNDERTONE = [str(Path(sys.executable).with_name("undertone"))]


def sent(settings: KafkaSettings, topics: Topics) -> dict[str, list[AudioChunk]]:
    """Every chunk on `call-audio` by stream, read and checked as a worker does."""
    streams: dict[str, list[AudioChunk]] = defaultdict(list)
    where: dict[str, set[int]] = defaultdict(set)
    with closing(reader(settings)) as consumer:
        partitions = partitions_of(consumer, topics.call_audio.name)
        for r in read_to_end(settings, consumer, partitions):
            chunk = AudioChunk.from_record(
                r.key,
                r.value,
                r.headers,
                RecordPlace(topic=r.topic, partition=r.partition, offset=r.offset, timestamp_ms=r.timestamp),
            )
            streams[chunk.stream].append(chunk)
            where[chunk.stream].add(r.partition)
    assert all(len(found) == 1 for found in where.values()), "a stream keeps its partition"
    return dict(streams)


def check_whole(chunks: list[AudioChunk], samples: np.ndarray, encoding: Encoding, chunk_ms: int) -> None:
    """The chunks of a stream are in order, without a gap, end once, and hold `samples`."""
    size = chunks[0].sample_rate * chunk_ms // 1000
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.first_sample for chunk in chunks] == [size * i for i in range(len(chunks))]
    assert [chunk.end_of_stream for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len({chunk.start_time for chunk in chunks}) == 1
    assert b"".join(chunk.audio for chunk in chunks) == encode(samples, encoding)


def request(*paths: Path | str, **changes: object) -> ProduceRequest:
    options: dict[str, Any] = {"speed": math.inf, "chunk_ms": 500} | {
        name: changes.pop(name)
        for name in list(changes)
        if name in ("encoding", "speed", "chunk_ms", "roles", "traceparent")
    }
    defaults: dict[str, Any] = {"call_id": None, "calls": 1, "rate": None}
    return ProduceRequest(
        paths=[str(path) for path in paths], options=PlaybackOptions(**options), **(defaults | changes)
    )

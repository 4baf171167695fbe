"""Streams for tests: samples cut into chunks, and events as comparable lines."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding, RecordPlace, Role
from schemas.events import EventEnvelope, event_line
from tests.support.paths import SAMPLES
from undertone.acoustics.codecs import encode
from undertone.inference.engine import Engine

START = datetime(2026, 1, 1, tzinfo=UTC)


def load(name: str, channel: int = 0) -> tuple[NDArray[np.int16], int]:
    """One channel of a file of `samples/`: int16 [n], and its rate."""
    samples, rate = soundfile.read(SAMPLES / name, dtype="int16", always_2d=True)
    return samples[:, channel].copy(), rate


def customer() -> tuple[NDArray[np.int16], int]:
    """The customer's side of the sample call: 25.5 s at 8 kHz."""
    return load("call.flac", 1)


def cut(
    samples: NDArray[np.int16],
    rate: int,
    sizes: int | Callable[[], int],
    *,
    call_id: str = "call",
    encoding: Encoding = Encoding.L16,
    role: Role = Role.CUSTOMER,
    start: datetime = START,
    end: bool = True,
    partition: int | None = None,
) -> list[AudioChunk]:
    """A stream's chunks; `sizes` in samples. With a `partition` they have places in Kafka."""
    chunks: list[AudioChunk] = []
    position = 0
    while position < len(samples):
        size = sizes if isinstance(sizes, int) else sizes()
        piece = samples[position : position + size]
        n = len(chunks)
        place = None
        if partition is not None:
            place = RecordPlace(topic="call-audio", partition=partition, offset=10 + n, timestamp_ms=1000 * n)
        chunks.append(
            AudioChunk(
                call_id=call_id,
                channel=role.value,
                role=role,
                sequence=n,
                first_sample=position,
                start_time=start,
                encoding=encoding,
                sample_rate=rate,
                audio=encode(piece, encoding),
                end_of_stream=end and position + size >= len(samples),
                place=place,
            )
        )
        position += size
    return chunks


def lines(events: Iterable[EventEnvelope]) -> list[str]:
    """Events as `tail` and `analyze` print them, without where their audio lies, and with their ids."""
    return [f"{event.id} {event_line(event.data, with_audio=False)}" for event in events]


def hear(engine: Engine, chunks: list[AudioChunk], batch: int = 1000) -> list[EventEnvelope]:
    """Feed chunks `batch` at a time."""
    events: list[EventEnvelope] = []
    for start in range(0, len(chunks), batch):
        events += engine.feed(chunks[start : start + batch]).events
    return events

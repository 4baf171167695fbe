"""The verifier says so when an event names audio that is not its own."""

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from schemas.audio import AudioChunk, RecordPlace
from schemas.events import EventEnvelope
from tests.chaos.audio_check import AudioIndex
from tests.chaos.plan import Plan
from tests.support.streams import hear
from undertone.inference.engine import Engine
from undertone.inference.model import Model


def placed() -> list[AudioChunk]:
    """Chunks of eight calls in two partitions, as they lie in Kafka: every fiftieth comes twice."""
    streams: dict[str, int] = {}
    offsets, chunks = [100, 200], []
    for number, chunk in enumerate(Plan(seed=3, calls=8, chunks=1600).in_turn()):
        partition = streams.setdefault(chunk.stream, len(streams)) % 2
        for _ in range(2 if number % 50 == 0 else 1):
            place = RecordPlace(topic="call-audio", partition=partition, offset=offsets[partition], timestamp_ms=1000)
            chunks.append(chunk.model_copy(update={"place": place}))
            offsets[partition] += 1
    return chunks


@pytest.fixture(scope="module")
def index() -> AudioIndex:
    index = AudioIndex("call-audio")
    for chunk in placed():
        index.add(chunk)
    return index


@pytest.fixture(scope="module")
def events() -> list[EventEnvelope]:
    engine, chunks = Engine(Model.load()), placed()
    return [event for start in range(0, len(chunks), 90) for event in engine.feed(chunks[start : start + 90]).events]


def test_what_the_engine_names_is_its_own(index: AudioIndex, events: list[EventEnvelope]) -> None:
    assert {event.data.type for event in events} == {"update", "segment", "summary"}
    verdict = index.judge(events)
    assert verdict.passed, verdict.remarks


@pytest.mark.parametrize("seed", range(3))
def test_what_the_engine_names_of_calls_with_gaps_is_its_own(seed: int) -> None:
    """Three stretches of each call are missing, so that speech goes on right behind a gap, anywhere in a block."""
    choose, index, engine = random.Random(seed), AudioIndex("call-audio"), Engine(Model.load())
    chunks = placed()
    missing = {
        (stream, number)
        for stream, length in Counter(chunk.stream for chunk in chunks).items()
        for begin in choose.sample(range(length), 3)
        for number in range(begin, begin + choose.randrange(3, 25))
    }
    chunks = [chunk for chunk in chunks if (chunk.stream, chunk.sequence) not in missing]
    for chunk in chunks:
        index.add(chunk)
    verdict = index.judge(hear(engine, chunks, batch=90))
    assert verdict.passed, verdict.remarks


def moved(event: EventEnvelope, changes: Mapping[str, int | str]) -> EventEnvelope:
    """The event with its span altered: numbers are added, a name is put in place."""
    assert event.data.audio is not None
    span = event.data.audio
    new = {name: by if isinstance(by, str) else getattr(span, name) + by for name, by in changes.items()}
    return event.model_copy(update={"data": event.data.model_copy(update={"audio": span.model_copy(update=new)})})


@pytest.mark.parametrize("kind", ["update", "segment", "summary"])
@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "worker-state"},
        {"partition": 1},
        {"partition": -1},
        {"first_offset": 1},
        {"first_offset": -1},
        {"last_offset": 1},
        {"last_offset": -1},
        {"first_offset": 100, "last_offset": 100},
    ],
)
def test_a_forged_place_is_noticed(
    index: AudioIndex, events: list[EventEnvelope], kind: str, changes: Mapping[str, int | str]
) -> None:
    """Neighbours in a partition are records of other streams, mostly."""
    of_kind = [event for event in events if event.data.type == kind]
    verdict = index.judge([moved(event, changes) for event in of_kind])
    assert verdict.differing > 0.5 * len(of_kind)
    assert verdict.remarks


@pytest.mark.parametrize("kind", ["update", "summary"])
@pytest.mark.parametrize(("end", "by"), [("first", -1), ("first", 8), ("last", -8), ("last", 8)])
def test_other_records_of_the_same_stream_are_noticed(
    index: AudioIndex, events: list[EventEnvelope], kind: str, end: str, by: int
) -> None:
    """They lie in the stream, and are too many or too few."""
    found = 0
    for event in events:
        if event.data.type == kind and event.data.audio:
            pieces = index._pieces[event.data.audio.partition, event.subject]
            at = next(n for n, piece in enumerate(pieces) if piece.offset == getattr(event.data.audio, f"{end}_offset"))
            if 0 <= at + by < len(pieces):
                forged = moved(event, {f"{end}_offset": pieces[at + by].offset - pieces[at].offset})
                assert not index.judge([forged]).passed
                found += 1
    assert found or kind == "summary"


def test_an_event_without_a_place_is_noticed(index: AudioIndex, events: list[EventEnvelope]) -> None:
    bare = events[0].model_copy(update={"data": events[0].data.model_copy(update={"audio": None})})
    assert index.judge([bare]).remarks == [
        f"{bare.subject}: update {bare.data.start_sample}-{bare.data.end_sample} names no audio"
    ]

"""On a real Kafka: what happens between two saves of a stream's state is heard again, and told of once.

`worker/replay.py` by itself, under random disturbances, is in `test_replay.py`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.partitioner import murmur2
from kafka.structs import OffsetAndMetadata

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.installation import PATIENCE_S, Installation, interleave, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.erasure.forget import forget
from undertone.inference.engine import Engine
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from undertone.messaging.clients import admin, group_consumer, idempotent_producer
from worker.fencing import group_id
from worker.replay import ReplayFrom
from worker.service import Worker
from worker.session import Session

pytestmark = pytest.mark.slow

# Longer than any test: after its first transaction no stream is saved, unless it must be.
NEVER_S = 60
PARTITIONS = 4


def call(name: str, **options: Any) -> list[AudioChunk]:
    samples, rate = customer()
    return cut(samples, rate, rate // 2, call_id=name, **options)


def neighbours(count: int) -> list[list[AudioChunk]]:
    """Calls of one partition."""
    names = (f"call-{number}" for number in range(1000))
    found = (name for name in names if (murmur2(f"{name}/customer".encode()) & 0x7FFFFFFF) % PARTITIONS == 0)
    return [call(next(found)) for _ in range(count)]


def alone(chunks: list[AudioChunk]) -> list[str]:
    return lines(hear(Engine(Model.load()), chunks))


def of(events: list[EventEnvelope], chunks: list[AudioChunk]) -> list[str]:
    return lines(event for event in events if event.subject == chunks[0].stream)


@contextmanager
def killed(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, chunks: int, **options: Any
) -> Iterator[Worker]:
    """A worker that ends once it has heard so many chunks, as if it were killed: it saves nothing more."""
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", lambda session: None)
        with working(installation, state_seconds=NEVER_S, **options) as worker:
            yield worker
            wait_for(lambda: value(worker, "undertone_chunks_total") == chunks, "all chunks to be heard")


def committed(installation: Installation, partition: int = 0) -> OffsetAndMetadata | None:
    """What the workers' group has committed of a partition."""
    with closing(group_consumer(installation.settings, group_id(installation.settings), "a look")) as consumer:
        place = TopicPartition(installation.topics.call_audio.name, partition)
        found: OffsetAndMetadata | None = consumer.committed(place, metadata=True)
        return found


def test_what_no_state_holds_is_heard_again(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = neighbours(2)
    installation.send(interleave(calls[0][:20], calls[1][:20]))
    with killed(installation, monkeypatch, 40, batch_records=4):
        pass
    kept = committed(installation)
    assert kept
    begin = ReplayFrom.read(kept)
    assert begin
    assert (begin.offset, kept.offset, begin.model) == (4, 40, Model.load().card.version)
    installation.send(interleave(calls[0][20:], calls[1][20:]))
    with working(installation) as worker:
        events = installation.events(sum(len(alone(one)) for one in calls))
        # Once, or as often as a busy machine makes the worker join again before it is done.
        assert value(worker, "undertone_replayed_chunks_total") == 36 * value(worker, "undertone_sessions_total")
        assert [of(events, one) for one in calls] == [alone(one) for one in calls]
        assert len(events) == sum(len(alone(one)) for one in calls)
    kept = committed(installation)
    assert kept
    assert (kept.offset, kept.metadata) == (sum(map(len, calls)), "")


def test_death_again_and_again_between_two_saves(installation: Installation) -> None:
    """Also while it hears again: from where is written anew only with states that make it so."""
    calls = [call(f"call-{number}") for number in range(4)]
    expected = [alone(one) for one in calls]
    installation.send(interleave(*calls))
    slow: dict[str, Any] = {"batch_records": 3, "batch_ms": 20, "state_seconds": NEVER_S}
    for when, step, number in (
        ("before", "commit_transaction", 25),
        ("before", "flush", 1),
        ("after", "send_offsets_to_transaction", 1),
        ("after", "commit_transaction", 1),
        ("before", "commit_transaction", 9),
    ):
        program = ("-m", "tests.support.crashing_worker", when, step, str(number))
        assert installation.worker(program=program, **slow).process.wait(timeout=PATIENCE_S) == 9
    installation.worker().ready()
    events = installation.events(sum(map(len, expected)))
    assert [of(events, one) for one in calls] == expected
    assert len(events) == sum(map(len, expected))


def test_partitions_that_move_between_two_saves(installation: Installation) -> None:
    calls = [call(f"call-{number}") for number in range(8)]
    expected = [alone(one) for one in calls]
    parts = [interleave(*(one[part] for one in calls)) for part in (slice(20), slice(20, 40), slice(40, None))]
    slow: dict[str, Any] = {"batch_records": 10, "state_seconds": NEVER_S}
    first = installation.worker("w1", **slow).ready()
    installation.send(parts[0])
    second = installation.worker("w2", **slow).ready()
    installation.send(parts[1])
    wait_for(lambda: ": revoked" in first.output, "the first worker to lose partitions")
    second.kill()
    installation.send(parts[2])
    events = installation.events(sum(map(len, expected)))
    assert [of(events, one) for one in calls] == expected
    assert len(events) == sum(map(len, expected))


def test_utterances_keep_the_model_of_their_time(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that takes over has another model; what began between two saves had the one before."""
    older, newer = (Model.load(bundle_of(version)) for version in ("older", "newer"))
    chunks = call("call-1")
    engine = Engine(older)
    expected = lines(hear(engine, chunks[:30]))
    engine.switch_model(newer)
    expected += lines(hear(engine, chunks[30:]))
    publish_model(installation, "older", bundle_of("older"))
    installation.send(chunks[:30])
    with killed(installation, monkeypatch, 30, batch_records=2):
        pass
    publish_model(installation, "newer", bundle_of("newer"))
    with working(installation, state_seconds=NEVER_S) as worker:
        installation.send(chunks[30:])
        assert of(installation.events(len(expected)), chunks) == expected
        assert value(worker, "undertone_replayed_chunks_total") == 28


def test_a_model_that_is_switched_leaves_nothing_to_hear_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (Model.load(bundle_of(version)) for version in ("older", "newer"))
    chunks = call("call-1")
    engine = Engine(older)
    expected = lines(hear(engine, chunks[:30]))
    engine.switch_model(newer)
    expected += lines(hear(engine, chunks[30:]))
    publish_model(installation, "older", bundle_of("older"))
    with killed(installation, monkeypatch, 40) as worker:
        installation.send(chunks[:30])
        wait_for(lambda: value(worker, "undertone_chunks_total") == 30, "the first part")
        publish_model(installation, "newer", bundle_of("newer"))
        wait_for(lambda: value(worker, "undertone_model_info", version="newer") == 1, "the new model")
        installation.send(chunks[30:40])
    with working(installation, state_seconds=NEVER_S) as worker:
        installation.send(chunks[40:])
        assert of(installation.events(len(expected)), chunks) == expected
        assert value(worker, "undertone_replayed_chunks_total") <= 10


def test_a_poison_pill_is_not_heard_again(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = neighbours(2)
    feed = Engine.feed

    def failing(engine: Engine, chunks: list[AudioChunk]) -> FeedResult:
        if any(chunk.stream == bad[0].stream and chunk.sequence == 7 for chunk in chunks):
            raise RuntimeError("a bug")
        return feed(engine, chunks)

    monkeypatch.setattr(Engine, "feed", failing)
    installation.send(interleave(good[:10], bad[:10]))
    expected = alone(good), alone(bad[:7] + bad[8:])
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", lambda session: None)
        with working(installation, state_seconds=NEVER_S):
            installation.dead_letters(1)
            installation.send(interleave(good[10:20], bad[10:20]))
            wait_for(lambda: (at := committed(installation)) is not None and at.offset == 40, "all to be heard")
    with working(installation) as worker:
        assert value(worker, "undertone_replayed_chunks_total") > 0
        installation.send(interleave(good[20:], bad[20:]))
        events = installation.events(sum(map(len, expected)))
        assert (of(events, good), of(events, bad)) == expected
        assert value(worker, "undertone_errors_total", stage="engine", error_type="RuntimeError") == 0
    assert len(installation.dead_letters(1)) == 1


def test_a_call_that_was_closed_between_two_saves_goes_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = call("call-1")
    installation.send(chunks[:22])
    with killed(installation, monkeypatch, 22, batch_records=5, idle_seconds=3):
        before = installation.events(len(hear(Engine(Model.load()), chunks[:22])) + 1)
        assert [getattr(event.data, "ended_by", "") for event in before][-1] == "idle"
    with working(installation) as worker:
        installation.send(chunks[22:])
        expected = alone(chunks)
        events = installation.events(len(expected) + 1)
        assert lines(event for event in events if event.id != before[-1].id) == expected
        assert value(worker, "undertone_dead_letters_total") == 0


def test_a_call_that_is_erased_between_two_saves(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten, other = neighbours(2)
    installation.send(interleave(forgotten[:20], other[:20]))
    with killed(installation, monkeypatch, 41, batch_records=4):
        wait_for(lambda: (at := committed(installation)) is not None and at.offset == 40, "both to be heard")
        forget(installation.settings, forgotten[0].call_id, end=True)
    said = len(hear(Engine(Model.load()), forgotten[:20])) + 1
    with working(installation) as worker:
        installation.send(other[20:])
        events = installation.events(said + len(alone(other)))
        assert of(events, other) == alone(other)
        assert len(of(events, forgotten)) == said
        assert value(worker, "undertone_open_streams") == 0
    states = installation.records(installation.topics.worker_state.name, bool)
    assert [record.value for record in states if record.key == forgotten[0].stream.encode()][-1] is None


def test_a_state_that_is_damaged_between_two_saves(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call begins anew with what is new, and is told of once; the other one's is heard again."""
    damaged, other = neighbours(2)
    installation.send(interleave(damaged[:20], other[:20]))
    with killed(installation, monkeypatch, 40, batch_records=4):
        pass
    with closing(idempotent_producer(installation.settings)) as producer:
        key = damaged[0].stream.encode()
        producer.send(installation.topics.worker_state.name, key=key, value=b"no state", partition=0).get(timeout=60)
    before = len(hear(Engine(Model.load()), damaged[:20]))
    with working(installation) as worker:
        assert value(worker, "undertone_replayed_chunks_total") == 18
        installation.send(interleave(damaged[20:], other[20:]))
        anew = alone(damaged[20:])
        events = installation.events(before + len(anew) + len(alone(other)))
        assert of(events, damaged)[before:] == anew
        assert of(events, other) == alone(other)
    (letter,) = installation.dead_letters(1)
    assert dict(letter.headers)["undertone_reason"] == b"invalid_state"


def test_what_retention_took_is_not_heard_again(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (chunks,) = neighbours(1)
    place = TopicPartition(installation.topics.call_audio.name, 0)
    installation.send(chunks[:20])
    with killed(installation, monkeypatch, 20, batch_records=2):
        pass
    with admin(installation.settings) as client:
        client.delete_records({place: 12})
    with working(installation) as worker:
        assert value(worker, "undertone_replayed_chunks_total") == 8
        assert value(worker, "undertone_offset_reset_records_total", kind="lost") == 10
        assert "partition 0: 10 records were deleted by retention before they were heard again" in caplog.text
        installation.send(chunks[20:])
        wait_for(lambda: value(worker, "undertone_events_total", type="summary") == 1, "the call's end")


def test_a_stream_without_room_leaves_nothing_to_hear_again(installation: Installation) -> None:
    """Whether there is room depends on other streams, which may be others where it is heard again."""
    first, second = neighbours(2)
    with working(installation, state_seconds=NEVER_S, max_streams=1) as worker:
        installation.send(first[:5])
        wait_for(lambda: value(worker, "undertone_chunks_total") == 5, "the first stream")
        installation.send(first[5:10])
        wait_for(lambda: (at := committed(installation)) is not None and at.offset == 10, "more of it")
        behind = committed(installation)
        assert behind and ReplayFrom.read(behind)
        installation.send(second[:1])
        installation.dead_letters(1)
        kept = committed(installation)
        assert kept
        assert (kept.offset, kept.metadata) == (11, "")


def test_a_worker_that_stops_saves_what_it_has(installation: Installation) -> None:
    chunks = call("call-1")
    installation.send(chunks[:20])
    with working(installation, state_seconds=NEVER_S, batch_records=2) as worker:
        wait_for(lambda: value(worker, "undertone_chunks_total") == 20, "all chunks to be heard")
    with working(installation) as worker:
        installation.send(chunks[20:])
        assert of(installation.events(len(alone(chunks))), chunks) == alone(chunks)
        assert value(worker, "undertone_replayed_chunks_total") == 0


def test_what_was_saved_by_a_worker_of_before_is_taken_over(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saved each state with each transaction, and wrote nothing beside its offsets."""
    chunks = call("call-1")
    installation.send(chunks[:20])
    with monkeypatch.context() as patch:
        patch.setattr(Session, "save", lambda session: None)
        with working(installation, state_seconds=0, batch_records=2) as worker:
            wait_for(lambda: value(worker, "undertone_chunks_total") == 20, "all chunks to be heard")
    with working(installation) as worker:
        installation.send(chunks[20:])
        assert of(installation.events(len(alone(chunks))), chunks) == alone(chunks)
        assert value(worker, "undertone_replayed_chunks_total") == 0

"""On a real Kafka: what befalls a single call between two saves of its state, and whether that is heard again."""

from contextlib import closing

import pytest
from kafka import TopicPartition

from schemas.audio import AudioChunk
from tests.support.installation import Installation, interleave, wait_for
from tests.support.service import value, working
from tests.support.streams import hear, lines
from tests.support.taking_over import NEVER_S, alone, call, committed, killed, neighbours, of
from undertone.erasure.forget import forget
from undertone.inference.engine import Engine
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from undertone.messaging.clients import admin, idempotent_producer
from worker.replay import ReplayFrom
from worker.session import Session

pytestmark = pytest.mark.slow


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

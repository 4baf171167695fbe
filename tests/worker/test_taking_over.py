"""On a real Kafka: what happens between two saves of a stream's state is heard again, and told of once.

What befalls a single call in between is in `test_between_saves.py`; `worker/replay.py` by itself, under random
disturbances, in `test_replay.py`.
"""

from typing import Any

import pytest

from tests.support.installation import PATIENCE_S, Installation, interleave, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import hear, lines
from tests.support.taking_over import NEVER_S, alone, call, committed, killed, neighbours, of
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from worker.replay import ReplayFrom
from worker.session import Session

pytestmark = pytest.mark.slow


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

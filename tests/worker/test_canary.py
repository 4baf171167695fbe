"""A canary on a real Kafka: each call has one model for good, whatever becomes of workers; the others are as ever."""

import random
import time
from contextlib import closing
from typing import Any

import pytest

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.crafted_networks import calls_itself, crafted
from tests.support.installation import Installation, interleave, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.routing import Route, lot_of
from undertone.registry.changes import canary, promote, stop_canary
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.service import Worker

pytestmark = pytest.mark.slow

SHARE = 0.5
# States are saved at the begin of a stream and then no more: all else of a call is heard again by who takes over.
SLOW: dict[str, Any] = {"batch_records": 3, "batch_ms": 20, "state_seconds": 60}
CHAMPION, CANARY = (Model.load(bundle_of(version)) for version in ("old", "new"))


def calls() -> list[list[AudioChunk]]:
    samples, rate = customer()
    return [cut(samples[rate * n :], rate, rate // 5, call_id=f"call-{n}") for n in range(6)]


def alone(chunks: list[AudioChunk]) -> list[str]:
    """What is to be said of a call: all of it by the model that its lot chooses."""
    return lines(hear(Engine(CANARY if lot_of(chunks[0].call_id) < SHARE else CHAMPION), chunks))


def of(events: list[EventEnvelope], chunks: list[AudioChunk]) -> list[str]:
    return lines(event for event in events if event.subject == chunks[0].stream)


def begin(installation: Installation) -> None:
    """Two versions, the one with half of the calls."""
    for version in ("old", "new"):
        publish_model(installation, version, bundle_of(version))
    promote(installation.settings, "old", "ann")
    canary(installation.settings, "new", SHARE, "ann")


def has_calls(worker: Worker) -> bool:
    return value(worker, "undertone_canary_share", version="new") == SHARE


def test_a_call_keeps_its_model_through_kill_nine_and_rebalances(installation: Installation) -> None:
    streams = calls()
    assert {lot_of(stream[0].call_id) < SHARE for stream in streams} == {True, False}
    begin(installation)
    parts = [[stream[part] for stream in streams] for part in (slice(40), slice(40, 80), slice(80, None))]
    installation.send(interleave(*parts[0]))
    for _ in range(2):
        worker = installation.worker("w1", **SLOW).ready()
        time.sleep(random.uniform(0.1, 1.2))
        worker.kill()
    first = installation.worker("w1", **SLOW).ready()
    installation.send(interleave(*parts[1]))
    second = installation.worker("w2", **SLOW).ready()
    wait_for(lambda: ": revoked" in first.output, "the first worker to lose partitions")
    second.kill()
    installation.worker("w2").ready()
    installation.send(interleave(*parts[2]))
    expected = [alone(stream) for stream in streams]
    events = installation.events(sum(map(len, expected)))
    assert [of(events, stream) for stream in streams] == expected
    assert len(events) == sum(map(len, expected))


def test_it_begins_and_ends_in_running_workers_at_an_utterance(installation: Installation) -> None:
    samples, rate = customer()
    chosen = next(f"call-{n}" for n in range(100) if lot_of(f"call-{n}") < SHARE)
    chunks = cut(samples, rate, rate // 2, call_id=chosen)
    publish_model(installation, "old", bundle_of("old"))
    publish_model(installation, "new", bundle_of("new"))
    promote(installation.settings, "old", "ann")
    with working(installation) as worker:
        assert not has_calls(worker)
        installation.send(chunks[:9])
        wait_for(lambda: value(worker, "undertone_events_total", type="update") > 0, "the first utterance")
        canary(installation.settings, "new", SHARE, "ann")
        wait_for(lambda: has_calls(worker), "the canary")
        installation.send(chunks[9:30])
        wait_for(lambda: value(worker, "undertone_chunks_total") == 30, "its utterances")
        stop_canary(installation.settings, "ann")
        wait_for(lambda: value(worker, "undertone_canary_share", version="new") == 0, "its end")
        installation.send(chunks[30:])
        events = installation.events(len(hear(Engine(Model.load()), chunks)))
    utterances: dict[int, set[str]] = {}
    for event in events:
        if event.data.type != "summary":
            utterances.setdefault(event.data.start_sample, set()).add(event.data.model_version)
    assert all(len(versions) == 1 for versions in utterances.values())
    order = [versions.pop() for _, versions in sorted(utterances.items())]
    assert order[0] == order[-1] == "old"
    assert "new" in order


def test_one_that_is_promoted_is_the_very_model_that_its_calls_have_had(installation: Installation) -> None:
    """Another object of its version would cost its callers' memory where no restart does."""
    begin(installation)
    with closing(ModelFeed.following(installation.settings, WorkerMetrics())) as feed:
        before = feed.route
        assert before.canary and (before.canary.card.version, before.share) == ("new", SHARE)
        promote(installation.settings, "challenger", "ann")
        seen = [before]

        def followed() -> bool:
            feed.poll()
            seen.append(feed.route)
            return feed.current.card.version == "new"

        wait_for(followed, "the champion")
        assert feed.route == Route(before.canary)
        assert set(seen) == {before, feed.route}, "no call went back to the old one in between"


def test_one_that_cannot_be_used_leaves_the_champion_its_calls(installation: Installation) -> None:
    begin(installation)
    with working(installation) as worker:
        assert has_calls(worker), "at the start, before the first call is heard"
        # Not by the command, which would refuse it.
        publish_model(installation, "new", crafted(calls_itself, "new"))
        publish_model(installation, "old", bundle_of("old"))
        assert has_calls(worker), "a bundle of its version that comes later is another matter"
    with working(installation) as worker:
        wait_for(lambda: value(worker, "undertone_challenger_refused") == 1, "the metric")
        assert not has_calls(worker)
        chunks = calls()[0]
        installation.send(chunks)
        events = installation.events(len(alone(chunks)))
        assert {event.data.model_version for event in events} == {"old"}

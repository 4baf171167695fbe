"""A challenger that hears calls unseen: what it tells, when it goes, and that no event and no state knows of it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from schemas.audio import AudioChunk
from tests.support.installation import Installation, interleave, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.routing import lot_of
from undertone.registry.changes import canary, promote
from worker import shadow
from worker.batch import Batch
from worker.shadow import Shadow
from worker.shadow_metrics import ShadowMetrics

MODEL = Model.load()
CHALLENGER = Model.load(bundle_of("new"))
CALLS = [f"call-{number}" for number in range(8)]


class Mute(Model):
    """It says another thing than the champion of whatever it hears."""

    def label(self, probabilities: Any) -> list[str]:
        """Nothing is ever sure."""
        return ["uncertain"] * len(probabilities)


@dataclass
class Worker:
    """A champion and its shadow, without Kafka; each turn is a batch that has been committed."""

    share: float = 1.0
    challenger: Model = CHALLENGER
    canary: float = 0.0
    engine: Engine = field(default_factory=lambda: Engine(MODEL))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    events: list[Any] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shadow = Shadow(self.share, ShadowMetrics(self.registry), batch_records=100)
        self.shadow.follow(self.challenger, self.canary)

    def turn(self, chunks: Sequence[AudioChunk], age_s: float = 0) -> None:
        batch = Batch(chunks=list(chunks))
        for number in range(len(chunks)):
            batch.records[0, number] = SimpleNamespace(timestamp=1000 * (time.time() - age_s))
        result = self.engine.feed(batch.chunks)
        self.events += result.written
        self.states += self.engine.take_changes()
        self.shadow.hear(batch, result, {}, [0])

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"undertone_shadow_{name}", labels) or 0.0


def turns() -> list[tuple[AudioChunk, ...]]:
    samples, rate = customer()
    streams = [cut(samples, rate, rate, call_id=call, partition=0) for call in CALLS]
    return list(zip(*streams, strict=True))


def utterances(worker: Worker) -> list[dict[str, Any]]:
    return [event.data for event in worker.events if event.kind == "segment"]


def test_events_and_states_are_the_same_to_the_byte_with_and_without_it() -> None:
    with_one, without = Worker(challenger=Mute(MODEL.card, Model.load(bundle_of("x")).runtime)), Worker(share=0)
    for chunks in turns():
        with_one.turn(chunks)
        without.turn(chunks)
    assert with_one.events == without.events
    assert with_one.states == without.states
    assert with_one.value("chunks_total") and not without.value("chunks_total")


def test_the_same_network_agrees_in_every_utterance() -> None:
    worker = Worker()
    for chunks in turns():
        worker.turn(chunks)
    said = [it["label"] for it in utterances(worker)]
    assert worker.value("utterances_total", outcome="agrees") == len(said)
    assert (
        worker.value("utterances_total", outcome="differs")
        == worker.value("utterances_total", outcome="unmatched")
        == 0
    )
    for label in set(said):
        assert worker.value("segments_total", label=label) == said.count(label)
    assert worker.value("seconds_total") > 0
    assert worker.value("streams") == 0, "all calls have ended"
    assert worker.value("info", version="new") == 1


def test_one_that_says_another_thing_differs() -> None:
    worker = Worker(challenger=Mute(MODEL.card, CHALLENGER.runtime))
    for chunks in turns():
        worker.turn(chunks)
    sure = [it for it in utterances(worker) if it["label"] != "uncertain"]
    assert worker.value("utterances_total", outcome="differs") == len(sure) > 0
    assert worker.value("segments_total", label="uncertain") == len(utterances(worker))


def test_it_hears_its_share_of_the_calls_beside_the_canarys() -> None:
    worker = Worker(share=0.5, canary=0.3)
    for chunks in turns():
        worker.turn(chunks)
    chosen = {call for call in CALLS if 0.3 <= lot_of(call) < 0.8}
    assert 0 < len(chosen) < len(CALLS)
    of_them = [it for it in utterances(worker) if it["call_id"] in chosen]
    assert worker.value("utterances_total", outcome="agrees") == len(of_them)
    assert worker.value("chunks_total") == len(chosen) * len(turns())


def test_an_utterance_that_it_has_heard_in_part_is_not_held_against_it() -> None:
    worker = Worker()
    worker.shadow.follow(None, 0)
    for number, chunks in enumerate(turns()):
        if number == 6:  # somebody is speaking
            worker.shadow.follow(CHALLENGER, 0)
        worker.turn(chunks)
    assert worker.value("utterances_total", outcome="unmatched") > 0
    assert worker.value("utterances_total", outcome="agrees") > 0
    assert worker.value("utterances_total", outcome="differs") == 0


@pytest.mark.parametrize("cause", ["behind", "full", "cost"])
def test_it_is_dropped_first_under_load_and_comes_back(cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(shadow.time, "monotonic", lambda: now[0])
    worker = Worker()
    first, *rest = turns()
    worker.turn(first)
    assert worker.value("streams") == len(CALLS)
    if cause == "behind":
        worker.turn(rest[0], age_s=shadow.BEHIND_S + 1)
    elif cause == "full":
        worker.shadow._batch_records = len(CALLS)
        worker.turn(rest[0])
        worker.shadow._batch_records = 100
    else:
        worker.shadow._spend(shadow.MOST_OF_A_CORE * 10 + 1)
        worker.turn(rest[0])
    told = "behind" if cause == "full" else cause
    assert worker.value("dropped_total", cause=told) == 1
    assert worker.value("streams") == 0
    worker.turn(rest[1])
    assert worker.value("chunks_total") == len(CALLS), "it stays away"
    now[0] += shadow.AWAY_S
    worker.turn(rest[2])
    assert worker.value("chunks_total") == 2 * len(CALLS)
    assert worker.value("dropped_total", cause=told) == 1


def test_one_that_fails_is_given_up_and_the_champion_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Model):
        """It fails on speech."""

        def alone(self, logits: Any, *_: Any) -> Any:
            """Raise."""
            raise FloatingPointError("no number")

    worker, alone = Worker(challenger=Failing(MODEL.card, CHALLENGER.runtime)), Worker(share=0)
    for chunks in turns():
        worker.turn(chunks)
        alone.turn(chunks)
        worker.shadow.follow(worker.challenger, 0)
    assert worker.events == alone.events and worker.states == alone.states
    assert worker.value("dropped_total", cause="failed") == 1
    assert "no number" in caplog.text
    worker.shadow.follow(CHALLENGER, 0)
    assert worker.value("info", version="new") == 1


def test_nothing_of_it_grows_with_calls_that_have_ended() -> None:
    worker = Worker()
    for chunks in turns():
        worker.turn(chunks)
    engine: Any = worker.shadow._engine
    assert not engine._unsaved._due and not any(engine._unsaved._since.values())
    assert np.count_nonzero(engine._table.partition >= 0) == 0


@pytest.mark.slow
def test_workers_that_are_killed_beside_a_shadow_say_what_one_without_it_says(installation: Installation) -> None:
    samples, rate = customer()
    streams = [cut(samples[rate * n :], rate, rate // 5, call_id=f"call-{n}") for n in range(4)]
    for version in ("old", "new"):
        publish_model(installation, version, bundle_of(version))
    promote(installation.settings, "old", "ann")
    canary(installation.settings, "new", 0, "ann")
    slow: dict[str, Any] = {"batch_records": 3, "batch_ms": 20, "shadow_share": 1}
    installation.send(interleave(*(stream[:60] for stream in streams)))
    for _ in range(2):
        worker = installation.worker(**slow).ready()
        time.sleep(random.uniform(0.1, 1.2))
        worker.kill()
    with working(installation, shadow_share=1, batch_records=1000) as here:
        wait_for(lambda: value(here, "undertone_shadow_info", version="new") == 1, "the shadow")
        installation.send(interleave(*(stream[60:] for stream in streams)))
        champion = Model.load(bundle_of("old"))
        expected = [lines(hear(Engine(champion), stream)) for stream in streams]
        events = installation.events(sum(map(len, expected)))
        # On a busy machine it may have been given up, and says so.
        wait_for(
            lambda: (
                value(here, "undertone_shadow_chunks_total")
                + value(here, "undertone_shadow_dropped_total", cause="behind")
                > 0
            ),
            "what it has heard",
        )
    for stream, alone in zip(streams, expected, strict=True):
        assert lines(event for event in events if event.subject == stream[0].stream) == alone
    assert len(events) == sum(map(len, expected))

"""One disturbed run from beginning to verdict."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.chaos.audio_check import AudioIndex
from tests.chaos.callers import wrong_calls
from tests.chaos.faults import Fault, disturb
from tests.chaos.labellers import wrong_entries
from tests.chaos.models import models_named
from tests.chaos.plan import Plan
from tests.chaos.reference import Change, ModelsOutOfOrder, changes, listen
from tests.chaos.stage import Stage, running_stage
from tests.chaos.state_check import differing_states, newest
from tests.chaos.verdict import Verdict, by_stream, judge_stream
from tests.chaos.watcher import Seen, envelopes, same
from undertone.inference.model import Model

# Calls by telephone, and labels, of each step.
_CALLS, _LABELS = 6, 20
# How long the chunks of one step take to send: about as long as a fault lasts, so that it falls under load.
_STEP_S = 8.0

Say = Callable[[str], None]


@dataclass
class Round:
    """One step of the schedule, and how long it took until all was heard again."""

    kinds: list[str]
    caught_up_s: float


@dataclass
class Outcome:
    """What a run has shown."""

    plan: Plan
    verdict: Verdict
    rounds: list[Round] = field(default_factory=list)
    models: int = 0
    states: int = 0
    states_differing: int = 0
    dead_letters: int = 0
    watched_alike: bool = False
    telephone_calls: int = 0
    whole_calls: int = 0  # those that nothing happened to
    labels: int = 0
    others_wrong: int = 0  # calls in the gateway's care, labels in the trainer's
    exits: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Nothing lost, nothing twice, the same timeline, the same state, whoever reads it when."""
        wrong = self.states_differing or self.dead_letters or self.others_wrong or not self.watched_alike
        return self.verdict.passed and not wrong


def run(plan: Plan, steps: list[list[Fault]], directory: Path, say: Say = lambda _: None) -> Outcome:
    """Start everything, disturb it step by step while calls go on, let it finish, and judge.

    Logs and what the processes share lie in `directory`.

    Raises:
        TimeoutError: something stood still; the line says what was waited for, and the logs where each thread stood.
    """
    start = time.monotonic()
    choose = random.Random(f"{plan.seed} targets")
    outcome = Outcome(plan, Verdict())
    with running_stage(plan, directory) as stage:
        watcher = stage.watch()
        say(f"three brokers and three workers are up after {time.monotonic() - start:.0f} s")
        # The last share of the calls is kept back: before it, open calls' state is compared.
        shares = len(steps) + 1
        for number, step in enumerate(steps, start=1):
            upto = plan.chunks * number // shares
            stage.labellers.label(envelopes(watcher.seen), _LABELS)
            stage.callers.ring(_CALLS)
            stage.release(upto, per_second=max(plan.chunks / shares / _STEP_S, 1.0))
            disturb(stage, step, choose)
            done = Round([fault.kind for fault in step], stage.settle(upto))
            outcome.rounds.append(done)
            say(f"{number}/{len(steps)} {' + '.join(done.kinds)}: all heard {done.caught_up_s:.1f} s after it")
        streams = plan.streams() | stage.called()
        _compare_states(stage, streams, outcome)
        # All that was sent is heard by now, so there is something to label however far the watcher was before.
        stage.labellers.label(envelopes(watcher.seen), _LABELS)
        stage.release(plan.chunks, per_second=10_000)
        stage.settle(plan.chunks)
        seen = stage.events()
        outcome.watched_alike = _alike(stage, watcher.seen, seen)
        watcher.close()
        _look_at_others(stage, streams, outcome)
        outcome.dead_letters = len(stage.records(stage.topics.dead_letters.name))
        versions = stage.versions()
        outcome.exits, outcome.models = stage.exits, len(versions)
        events = envelopes(seen)
        outcome.verdict.add(_judge(streams, events, models_named(versions)))
        audio = AudioIndex(stage.topics.call_audio.name)
        for record in stage.records(stage.topics.call_audio.name):
            audio.add_record(record)
        outcome.verdict.add(audio.judge(events))
    outcome.seconds = time.monotonic() - start
    return outcome


def _alike(stage: Stage, watched: list[Seen], read: list[Seen]) -> bool:
    """Whether the concurrent reader comes to the same; it may be a moment behind."""
    stage.wait_for(lambda: len(watched) >= len(read), "the concurrent reader to come to the end")
    return same(watched, read)


def _look_at_others(stage: Stage, streams: Mapping[str, list[AudioChunk]], outcome: Outcome) -> None:
    """What the gateway and the trainer have made of what was said to them."""
    stage.wait_for(stage.collected, "the trainer to have collected all labels")
    calls, sent = stage.callers.calls, stage.labellers.sent
    wrong = wrong_calls(calls, streams) + wrong_entries(stage.dataset, sent, streams)
    outcome.telephone_calls, outcome.whole_calls = len(calls), sum(call.whole for call in calls)
    outcome.labels, outcome.others_wrong = len(sent), len(wrong)
    for text in wrong:
        outcome.verdict.remark(text)


def _compare_states(stage: Stage, streams: Mapping[str, list[AudioChunk]], outcome: Outcome) -> None:
    """All has been heard, so within seconds each stream must have a state that holds all of it."""
    stage.wait_for(stage.saved, "all states to be saved")
    states = newest(stage.records(stage.topics.worker_state.name))
    events = by_stream(envelopes(stage.events()))
    wrong = differing_states(states, streams, events, models_named(stage.versions()))
    outcome.states, outcome.states_differing = len(states), len(wrong)
    for text in wrong:
        outcome.verdict.remark(text)


def _judge(
    streams: Mapping[str, list[AudioChunk]], events: list[EventEnvelope], models: Mapping[str, Model]
) -> Verdict:
    """Each stream against the engine alone."""
    observed, verdict = by_stream(events), Verdict()
    for stream, chunks in streams.items():
        said = observed.get(stream, [])
        try:
            order = changes(said)
        except ModelsOutOfOrder as error:
            verdict.differing += 1
            verdict.remark(str(error))
            continue
        expected = listen(chunks, order or [Change(0, next(iter(models)))], models).events
        verdict.add(judge_stream(stream, expected, said))
    for stream in observed.keys() - streams.keys():
        verdict.add(judge_stream(stream, (), observed[stream]))
    return verdict

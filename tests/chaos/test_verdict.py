"""The verifier says so when anything is wrong, and the reference knows where a model took over."""

from collections.abc import Callable, Sequence

import pytest

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.chaos.models import models_named
from tests.chaos.plan import Plan
from tests.chaos.reference import Change, ModelsOutOfOrder, changes, listen
from tests.chaos.verdict import by_stream, judge
from tests.support.streams import lines
from undertone.inference.engine import Engine

PLAN = Plan(seed=3, calls=4, chunks=1200)
MODELS = models_named(["chaos-0", "chaos-1", "chaos-2"])


@pytest.fixture(scope="module")
def expected() -> dict[str, list[EventEnvelope]]:
    return {stream: listen(chunks, [Change(0, "chaos-0")], MODELS).events for stream, chunks in PLAN.streams().items()}


def altered(event: EventEnvelope, **changes: object) -> EventEnvelope:
    return event.model_copy(update={"data": event.data.model_copy(update=changes)})


def test_what_is_as_it_should_be_passes(expected: dict[str, list[EventEnvelope]]) -> None:
    verdict = judge(expected, by_stream(event for events in expected.values() for event in events))
    assert verdict.passed
    assert verdict.events == sum(map(len, expected.values())) > 50
    assert verdict.max_probability_difference == 0


def swap(events: list[EventEnvelope]) -> None:
    events[2], events[3] = events[3], events[2]


def nudge(by: float) -> Callable[[list[EventEnvelope]], None]:
    def change(events: list[EventEnvelope]) -> None:
        probabilities = dict(events[2].data.probabilities)
        probabilities[next(iter(probabilities))] += by
        events[2] = altered(events[2], probabilities=probabilities)

    return change


def set_field(name: str, value: object) -> Callable[[list[EventEnvelope]], None]:
    def change(events: list[EventEnvelope]) -> None:
        events[2] = altered(events[2], **{name: value})

    return change


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (lambda events: events.pop(2), {"lost": 1}),
        (lambda events: events.pop(), {"lost": 1}),
        (lambda events: events.insert(5, events[2]), {"repeated": 1}),
        (lambda events: events.append(events[0]), {"repeated": 1}),
        (swap, {"reordered": 1}),
        (set_field("label", "joyful"), {"differing": 1}),
        (set_field("speech_s", 0.05), {"differing": 1}),
        (set_field("pitch_hz", None), {"differing": 1}),
        (set_field("probabilities", {}), {"differing": 1}),
        (nudge(0.0002), {"differing": 1}),
        (nudge(0.00005), {}),
        (lambda events: events.append(events[0].model_copy(update={"id": "f" * 32})), {"differing": 1}),
        (list.clear, None),
    ],
)
def test_what_is_wrong_is_said(
    expected: dict[str, list[EventEnvelope]],
    change: Callable[[list[EventEnvelope]], object],
    counts: dict[str, int] | None,
) -> None:
    observed = {stream: list(events) for stream, events in expected.items()}
    stream = next(stream for stream, events in observed.items() if len(events) > 8)
    counts = {"lost": len(observed[stream])} if counts is None else counts
    change(observed[stream])
    verdict = judge(expected, observed)
    found = {name: getattr(verdict, name) for name in ("lost", "repeated", "reordered", "differing")}
    assert found == dict.fromkeys(found, 0) | counts
    assert verdict.passed == (not counts)
    assert len(verdict.remarks) == min(sum(counts.values()), 20)


def test_a_change_of_models_is_found_in_the_events() -> None:
    """Wherever in the stream the models change, the reference made from its events is the stream."""
    stream, chunks = max(PLAN.streams().items(), key=lambda entry: len(listen_all(entry[1])))
    for first, second in ((10, 30), (55, 140), (90, 91), (200, 290), (0, 299)):
        engine = Engine(MODELS["chaos-0"])
        observed = list(engine.feed(chunks[:first]).events)
        engine.switch_model(MODELS["chaos-1"])
        observed += engine.feed(chunks[first:second]).events
        engine.switch_model(MODELS["chaos-2"])
        observed += engine.feed(chunks[second:]).events
        reference = listen(chunks, changes(observed), MODELS)
        assert lines(reference.events) == lines(observed)
        verdict = judge({stream: listen_all(chunks)}, {stream: observed})
        assert verdict.differing, "models that differ must be heard to differ"


def listen_all(chunks: Sequence[AudioChunk]) -> list[EventEnvelope]:
    return listen(chunks, [Change(0, "chaos-0")], MODELS).events


def test_models_that_come_back_are_an_error(expected: dict[str, list[EventEnvelope]]) -> None:
    events = expected[sorted(expected, key=lambda stream: len(expected[stream]))[-1]].copy()
    begun = [index for index, event in enumerate(events) if event.data.type == "segment"]
    events[begun[1]] = altered(events[begun[1]], model_version="chaos-1")
    with pytest.raises(ModelsOutOfOrder):
        changes(events)

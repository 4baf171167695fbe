"""A canary's share of the calls: which ones they are, and that nothing of the others is another thing for it."""

import pytest

from schemas.events import EventEnvelope
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.routing import Route, lot_of

MODEL = Model.load()
CANARY = MODEL.with_card(MODEL.card.model_copy(update={"version": "canary"}))
CALLS = [f"call-{number}" for number in range(12)]
SHARE = 0.5
CHOSEN = {call for call in CALLS if lot_of(call) < SHARE}


def streams() -> list[list]:
    samples, rate = customer()
    return [cut(samples, rate, rate, call_id=call) for call in CALLS]


def versions(events: list[EventEnvelope], call: str) -> set[str]:
    return {event.data.model_version for event in events if event.data.call_id == call}


def test_a_share_of_all_calls_is_that_share_and_the_same_everywhere() -> None:
    lots = [lot_of(f"{number}") for number in range(10_000)]
    assert sum(lot < 0.05 for lot in lots) == pytest.approx(500, abs=100)
    assert all(0 <= lot < 1 for lot in lots)
    assert lot_of("call-1/customer") == lot_of("call-1/agent") == lot_of("call-1")
    assert lot_of("call-1") == 0.5656676979269832  # for good: a replay must come to the same


def test_each_call_has_its_model_and_the_others_are_as_without_a_canary() -> None:
    assert 2 < len(CHOSEN) < 10
    calls = streams()
    engine = Engine(MODEL)
    engine.switch_model(MODEL, CANARY, SHARE)
    events = hear(engine, [chunk for turn in zip(*calls, strict=True) for chunk in turn], 12)
    for call, chunks in zip(CALLS, calls, strict=True):
        chosen = call in CHOSEN
        assert versions(events, call) == {"canary" if chosen else MODEL.card.version}
        alone = lines(hear(Engine(CANARY if chosen else MODEL), chunks))
        assert lines(event for event in events if event.data.call_id == call) == alone


def test_a_canary_comes_and_goes_at_utterances_and_leaves_the_champions_calls_their_memory() -> None:
    calls = streams()
    engine, alone = Engine(MODEL), Engine(MODEL)
    said: list[EventEnvelope] = []
    for turn, chunks in enumerate(zip(*calls, strict=True)):
        route = {0: Route(MODEL), 8: Route(MODEL, CANARY, SHARE), 16: Route(MODEL)}.get(turn)
        if route:
            engine.switch_model(*route)
            assert engine.route == route
        said += engine.feed(chunks).events
    expected = hear(alone, [chunk for turn in zip(*calls, strict=True) for chunk in turn], 12)
    for call in CALLS:
        of_call = [event for event in said if event.data.call_id == call]
        if call not in CHOSEN:
            assert lines(of_call) == lines(event for event in expected if event.data.call_id == call)
            continue
        assert versions(of_call, call) == {"canary", MODEL.card.version}
        utterances: dict[int, set[str]] = {}
        for event in of_call:
            if event.data.type != "summary":
                utterances.setdefault(event.data.start_sample, set()).add(event.data.model_version)
        assert all(len(found) == 1 for found in utterances.values())


def test_a_canary_that_is_promoted_keeps_what_it_has_heard_of_its_callers() -> None:
    calls = streams()
    engine, alone = Engine(MODEL), Engine(CANARY)
    engine.switch_model(MODEL, CANARY, SHARE)
    said: list[EventEnvelope] = []
    for turn, chunks in enumerate(zip(*calls, strict=True)):
        if turn == 12:
            engine.switch_model(CANARY)
        said += engine.feed(chunks).events
    expected = hear(alone, [chunk for turn in zip(*calls, strict=True) for chunk in turn], 12)
    for call in CHOSEN:
        assert lines(one for one in said if one.data.call_id == call) == lines(
            one for one in expected if one.data.call_id == call
        )


def test_the_same_model_read_anew_is_the_same_to_its_callers() -> None:
    chunks = streams()[0]
    engine = Engine(MODEL)
    said = engine.feed(chunks[:14]).events
    again = Model.load()
    engine.switch_model(again)
    assert engine.model is again
    said += engine.feed(chunks[14:]).events
    assert lines(said) == lines(hear(Engine(MODEL), chunks))


def test_a_canary_of_other_labels_speaks_of_its_own() -> None:
    labels = ("cross", *MODEL.card.labels[1:])
    renamed = {"labels": labels, "version": "other", "groups": None, "affect": None, "caller": None}
    calibration = MODEL.card.calibration.model_copy(update={"prior": None, "training_prior": None})
    other = MODEL.with_card(MODEL.card.model_copy(update=renamed | {"calibration": calibration, "reference": None}))
    engine = Engine(MODEL)
    engine.switch_model(MODEL, other, SHARE)
    events = hear(engine, [chunk for stream in streams() for chunk in stream])
    for event in events:
        assert ("cross" in event.data.probabilities) is (event.data.call_id in CHOSEN)

"""Groups, arousal and valence: what they are made of, and what a card may say of them."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.card import CalibrationSpec, Place
from schemas.events import EVENT
from tests.support.streams import customer, cut
from undertone.inference.affect import CIRCUMPLEX, GROUPS
from undertone.inference.engine import Engine
from undertone.inference.model import Model


def test_the_default_places_are_on_the_circle_or_in_its_middle() -> None:
    for label, place in CIRCUMPLEX.items():
        radius = np.hypot(place.valence, place.arousal)
        assert radius == pytest.approx(0 if label == "neutral" else 1, abs=1e-3)
    assert CIRCUMPLEX["angry"].valence < 0 < CIRCUMPLEX["angry"].arousal
    assert CIRCUMPLEX["calm"].arousal < 0 < CIRCUMPLEX["calm"].valence
    assert CIRCUMPLEX["sad"].valence < 0
    assert CIRCUMPLEX["happy"].valence > 0


def test_every_event_says_group_arousal_and_valence_of_its_own_probabilities(model: Model) -> None:
    events = [event.data for event in Engine(model).feed(cut(*customer(), 4000)).events]
    assert {event.type for event in events} == {"update", "segment", "summary"}
    for event in events:
        assert event.groups is not None and event.arousal is not None and event.valence is not None
        for group, members in GROUPS.items():
            assert event.groups[group] == pytest.approx(sum(event.probabilities[one] for one in members), abs=1e-5)
        assert sum(event.groups.values()) == pytest.approx(1, abs=1e-5)
        best = max(event.groups, key=event.groups.__getitem__)
        assert event.group in (best, "uncertain")
        for name in ("arousal", "valence"):
            mean = sum(p * getattr(CIRCUMPLEX[label], name) for label, p in event.probabilities.items())
            assert getattr(event, name) == pytest.approx(mean, abs=1e-4)


def test_a_card_may_have_groups_and_places_of_its_own(model: Model) -> None:
    first, second, *rest = model.card.labels
    probabilities = np.array([[0.5, 0.25, *[0.25 / len(rest)] * len(rest)]])
    places = dict.fromkeys(model.card.labels, Place(valence=0, arousal=0)) | {first: Place(valence=-1, arousal=1)}
    own = model.with_card(model.card.model_copy(update={"groups": {"loud": (first,)}, "affect": places}))
    assert (own.affect.names, own.affect.groups(probabilities).tolist()) == (("loud",), [[0.5]])
    assert own.group(np.array([[0.5], [0.01]])) == ["loud", "uncertain"]
    places_of_it = own.affect.arousal_valence(probabilities)
    assert places_of_it is not None and places_of_it.tolist() == [[0.5, -0.5]]
    none = model.with_card(model.card.model_copy(update={"groups": {}, "affect": {second: places[second]}}))
    shares = none.affect.groups(probabilities)
    assert (shares.tolist(), none.group(shares)) == ([[]], [None])
    assert none.affect.arousal_valence(probabilities) is None


def test_a_model_of_other_labels_has_the_groups_that_it_has_labels_of(model: Model) -> None:
    labels = ("angry", "bewildered", "happy")
    changes = {"labels": labels, "groups": None, "affect": None, "caller": None, "calibration": CalibrationSpec()}
    affect = model.with_card(model.card.model_copy(update=changes)).affect
    assert affect.names == ("negative", "positive")
    assert affect.groups(np.array([[0.2, 0.5, 0.3]])).tolist() == [[0.2, 0.3]]
    assert affect.arousal_valence(np.array([[0.2, 0.5, 0.3]])) is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"groups": {"a": ["angry"], "b": ["angry"]}}, "a label is in two groups"),
        ({"groups": {"a": ["bewildered"]}}, "name 'bewildered', which is no label"),
        ({"affect": {"bewildered": {"valence": 0, "arousal": 0}}}, "name 'bewildered', which is no label"),
        ({"affect": {"angry": {"valence": 2, "arousal": 0}}}, "less than or equal to 1"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(model: Model, changes: dict, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        type(model.card).model_validate(model.card.model_dump() | changes)


def test_events_of_a_worker_that_knew_none_of_it_are_read(model: Model) -> None:
    event = Engine(model).feed(cut(*customer(), 4000)).events[-1].data
    old = json.loads(event.model_dump_json())
    for name in ("group", "groups", "arousal", "valence", "relative"):
        del old[name]
    read = EVENT.validate_python(old)
    assert (read.label, read.group, read.arousal, read.relative) == (event.label, None, None, None)

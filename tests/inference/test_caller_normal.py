"""What is taken from an utterance's evidence for what its caller always sounds like."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas.card import STEPS_PER_SECOND, CallerSpec, ModelCard
from tests.support.streams import customer, cut, lines
from undertone.inference.caller_normal import MOST_STEPS, CallerNormal
from undertone.inference.engine import Engine
from undertone.inference.model import Model


def card_with(model: Model, weight: float) -> ModelCard:
    normal = dict.fromkeys(model.card.labels, 0.0) | {"neutral": 2.0}
    return model.card.model_copy(update={"caller": CallerSpec(weight=weight, half_s=5, normal=normal)})


def test_an_empty_memory_takes_nothing_and_a_full_one_its_share_of_the_distance(model: Model) -> None:
    card = card_with(model, 0.5)
    rule, labels = CallerNormal(card), card.labels
    training = np.array([(card.calibration.training_prior or {})[label] for label in labels])
    heard, nothing = np.zeros((1, len(labels))), np.zeros(1, np.int32)
    assert not np.any(rule.offsets(heard, nothing))
    evidence = np.zeros(len(labels))
    evidence[labels.index("happy")] = 1.5
    probabilities = training * np.exp(evidence)
    alone = probabilities[None] / probabilities.sum()
    steps = rule.add(heard, nothing, alone, np.array([5 * STEPS_PER_SECOND]))
    assert steps.tolist() == [5 * STEPS_PER_SECOND]
    normal = np.array([2.0 if label == "neutral" else 0.0 for label in labels])
    distance = (evidence - evidence.mean()) - (normal - normal.mean())
    offsets = rule.offsets(heard, steps)
    assert offsets is not None
    np.testing.assert_allclose(offsets[0], 0.25 * distance, atol=1e-9)  # half of the half, after half_s
    assert CallerNormal(model.card.model_copy(update={"caller": None})).offsets(heard, steps) is None


def test_what_is_older_than_two_minutes_of_speech_fades(model: Model) -> None:
    rule, labels = CallerNormal(card_with(model, 1)), model.card.labels
    happy, sad = (np.where(np.array(labels) == name, 0.9, 0.1 / (len(labels) - 1)) for name in ("happy", "sad"))
    heard = np.zeros((1, len(labels)))
    steps: NDArray[np.integer] = np.zeros(1, np.int64)
    for probabilities in (happy, sad, sad, sad, sad):
        steps = rule.add(heard, steps, probabilities[None], np.array([MOST_STEPS]))
        assert steps.tolist() == [MOST_STEPS]
    assert heard[0].argmax() == labels.index("sad")
    assert np.abs(heard).max() <= MOST_STEPS * 10


def test_the_first_utterance_is_as_without_a_memory_and_later_ones_are_not(model: Model) -> None:
    chunks = cut(*customer(), 4000)
    with_memory = [event.data for event in Engine(model.with_card(card_with(model, 0.5))).feed(chunks).events]
    without = model.with_card(model.card.model_copy(update={"caller": None}))
    plain = [event.data for event in Engine(without).feed(chunks).events]
    first = plain[0].start_sample
    assert [one for one in with_memory if one.start_sample == first] == [
        one for one in plain if one.start_sample == first
    ]
    later = [(a, b) for a, b in zip(with_memory, plain, strict=True) if a.start_sample > first and a.type == "segment"]
    assert len(later) >= 2
    assert all(a.probabilities != b.probabilities for a, b in later)


def test_a_call_that_died_anywhere_goes_on_with_its_memory(model: Model) -> None:
    """As after kill -9: each record is read by an engine that has heard nothing."""
    chunks = cut(*customer(), 3777)
    whole = lines(Engine(model).feed(chunks).events)
    engine, heard = Engine(model), []
    for chunk in chunks:
        heard += engine.feed([chunk]).events
        (record,) = engine.take_changes()
        assert record.value is not None
        engine = Engine(model)
        engine.restore(record.stream, record.partition, record.value)
    assert lines(heard) == whole


def test_the_shipped_card_judges_by_the_caller_and_a_wrong_one_is_refused(model: Model) -> None:
    assert model.card.caller is not None and model.card.calibration.prior is not None
    card = model.card.model_dump()
    card["caller"] = {"weight": 0.5, "normal": {"neutral": 2}}
    with pytest.raises(ValidationError, match="does not name each label once"):
        ModelCard.model_validate(card)

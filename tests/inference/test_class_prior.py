"""The class prior: what a person may write, what it does to probabilities, and that it changes nothing else."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.card import CalibrationSpec
from schemas.errors import UserError
from schemas.events import EventEnvelope
from tests.support.paths import SAMPLES
from undertone.acoustics.decode import load
from undertone.inference.call_stream import CallStream
from undertone.inference.class_prior import log_ratio, moved_prior, parse_prior, shares_of
from undertone.inference.model import Model, softmax

LABELS = ("angry", "neutral", "sad")
START = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_may_be_written() -> None:
    assert [parse_prior(word) for word in ("card", "training", "uniform")] == ["card", "training", "uniform"]
    assert parse_prior(" neutral = 0.6, calm=0.2 ") == {"neutral": 0.6, "calm": 0.2}


@pytest.mark.parametrize(
    "text", ["", "neutral", "neutral=", "neutral=much", "neutral=0", "neutral=-1", "neutral=nan", "a=0.1,a=0.2", "=0.5"]
)
def test_what_is_no_prior_gets_one_line(text: str) -> None:
    with pytest.raises(UserError, match="want card, training, uniform, or shares"):
        parse_prior(text)


def test_shares_of_more_than_one_get_one_line() -> None:
    with pytest.raises(UserError, match=r"add up to 1\.2"):
        parse_prior("a=0.6,b=0.6")


def test_labels_without_a_share_divide_the_rest_as_before() -> None:
    spec = CalibrationSpec(training_prior={"angry": 0.3, "neutral": 0.6, "sad": 0.1})
    assert shares_of({"neutral": 0.8}, LABELS, spec) == pytest.approx({"angry": 0.15, "neutral": 0.8, "sad": 0.05})
    assert shares_of("card", LABELS, spec) == spec.training_prior
    assert shares_of("uniform", LABELS, spec) == pytest.approx(dict.fromkeys(LABELS, 1 / 3))
    everything = shares_of({"neutral": 1.0}, LABELS, spec)
    assert sum(everything.values()) == pytest.approx(1)
    assert min(everything.values()) > 0
    with pytest.raises(UserError, match="the model knows no happy; it knows angry, neutral, sad"):
        shares_of({"happy": 0.5}, LABELS, spec)


def test_a_card_names_each_label_once_and_shares_add_up(model: Model) -> None:
    with pytest.raises(ValidationError, match="do not add up to 1"):
        CalibrationSpec(prior={"angry": 0.5, "sad": 0.4})
    card = model.card.model_dump()
    card["calibration"] = {"prior": {"angry": 0.5, "sad": 0.5}}
    with pytest.raises(ValidationError, match="prior does not name each label once"):
        type(model.card).model_validate(card)


def test_a_prior_is_bayes_rule(model: Model) -> None:
    trained = dict.fromkeys(model.card.labels, 0.1) | {model.card.labels[0]: 0.3}
    calibration = model.card.calibration.model_copy(update={"training_prior": trained, "prior": None})
    model = model.with_card(model.card.model_copy(update={"calibration": calibration}))
    logits = np.random.default_rng(1).normal(0, 3, (50, len(model.card.labels))).astype(np.float32)
    before = model.probabilities(logits)
    np.testing.assert_array_equal(before, softmax(logits.astype(np.float64) / calibration.temperature))
    moved = model.with_prior("uniform")
    expected = before / np.array(list(trained.values()))
    np.testing.assert_allclose(moved.probabilities(logits), expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(moved.with_prior("training").probabilities(logits), before, rtol=1e-9)
    assert log_ratio(model.card.labels, calibration).tolist() == [0.0] * len(model.card.labels)


def events_of(model: Model, samples: np.ndarray, sizes: list[int]) -> list[dict[str, Any]]:
    stream = CallStream(model, 8000, start_time=START)
    events: list[EventEnvelope] = []
    position = 0
    while position < samples.size:
        size = sizes[len(events) % len(sizes)]
        events += stream.feed(samples[position : position + size])
        position += size
    return [event.model_dump(mode="json") for event in [*events, *stream.end()]]


def test_with_a_prior_chunking_still_changes_no_byte_and_labels_follow_the_probabilities(model: Model) -> None:
    samples = np.ascontiguousarray(load(SAMPLES / "angry.flac", 8000)[0][:, 0])
    plain = events_of(model.with_prior("training"), samples, [4000])
    quiet = model.with_prior({"neutral": 0.95})
    events = events_of(quiet, samples, [4000])
    assert events == events_of(quiet, samples, [1, 777, 3999, 80_000])
    assert len(events) == len(plain)
    for before, after in zip(plain, events, strict=True):
        data = after["data"]
        assert data["probabilities"]["neutral"] > before["data"]["probabilities"]["neutral"]
        best = max(data["probabilities"], key=data["probabilities"].__getitem__)
        sure = data["probabilities"][best] >= quiet.card.calibration.uncertain_below
        assert data["label"] == (best if sure else "uncertain")
        same = ("start_sample", "end_sample", "speech_s", "level_dbfs", "pitch_hz", "model_version")
        assert [data[name] for name in same] == [before["data"][name] for name in same]


def test_probabilities_are_moved_from_one_prior_to_another(model: Model) -> None:
    before, after = model.with_prior("uniform"), model.with_prior("neutral=0.8,angry=0.01")
    logits = np.random.default_rng(0).normal(0, 3, (20, len(model.card.labels)))
    for old, new in zip(before.probabilities(logits), after.probabilities(logits), strict=True):
        by_label = dict(zip(model.card.labels, old.tolist(), strict=True))
        moved = moved_prior(by_label, before.class_prior, after.class_prior)
        assert list(moved.values()) == pytest.approx(new.tolist())

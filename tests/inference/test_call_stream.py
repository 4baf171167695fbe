"""`CallStream`: the events of `undertone analyze`, however the samples are cut, and one clear line for a mistake."""

import io
import itertools
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from schemas.events import EventEnvelope, event_line
from tests.support.paths import SAMPLES
from tests.support.streams import load
from undertone import CallStream, Model
from undertone.analysis.analyze import AnalyzeOptions, analyze
from undertone.analysis.output import JsonLines

SILENCE = np.zeros(8000, np.int16)


def analyzed(model: Model, name: str, roles: str | None = None) -> list[str]:
    """The lines of `undertone analyze --format jsonl`."""
    out = io.StringIO()
    analyze([str(SAMPLES / name)], model, AnalyzeOptions(roles=roles), JsonLines(out, Console(file=io.StringIO())))
    return out.getvalue().splitlines()


def lines(events: list[EventEnvelope]) -> list[str]:
    return [event_line(event.data) for event in events]


@pytest.fixture(scope="module")
def expected(model: Model) -> list[str]:
    found = analyzed(model, "call.flac", "agent,customer")
    assert len(found) > 20
    return found


@given(sizes=st.lists(st.integers(0, 90_000), min_size=1, max_size=12).filter(any))
@settings(max_examples=10)
def test_events_are_those_of_analyze_for_any_cutting(model: Model, expected: list[str], sizes: list[int]) -> None:
    samples, rate = load("call.flac", 1)
    events: list[EventEnvelope] = []
    position, size = 0, itertools.cycle(sizes)
    with CallStream(model, rate) as call:
        while position < len(samples):
            length = next(size)
            events += call.feed(samples[position : position + length])
            position += length
    assert lines(events + call.final_events) == expected


def test_the_wide_band_as_well(model: Model) -> None:
    samples, rate = load("angry.flac")
    call = CallStream(model, rate, call_id="angry")
    assert lines(call.feed(samples) + call.end()) == analyzed(model, "angry.flac")


def test_events_carry_the_names_and_the_time_that_were_given(model: Model) -> None:
    samples, rate = load("angry.flac")
    answered = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    with CallStream(model, rate, call_id="call-7", channel="caller", start_time=answered) as call:
        call.feed(samples)
    (*_, summary) = call.final_events
    assert (summary.subject, summary.data.type, summary.data.audio) == ("call-7/caller", "summary", None)
    assert (summary.time - answered).total_seconds() == pytest.approx(len(samples) / rate)


def test_a_call_without_sound_has_a_summary(model: Model) -> None:
    call = CallStream(model)
    assert call.feed(SILENCE[:0]) == []
    (summary,) = call.end()
    assert summary.data.label == "no-speech"


def test_the_end_is_told_once_and_is_the_end(model: Model) -> None:
    call = CallStream(model)
    call.feed(SILENCE)
    assert call.final_events == []
    assert call.end() == call.end() == call.final_events
    with pytest.raises(ValueError, match="has ended"):
        call.feed(SILENCE)


def test_an_error_in_the_block_ends_nothing(model: Model) -> None:
    with pytest.raises(KeyError), CallStream(model) as call:
        call.feed(SILENCE)
        raise KeyError
    assert call.final_events == call.end() == []
    with pytest.raises(ValueError, match="has ended"):
        call.feed(SILENCE)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (SILENCE.astype(np.float32), "samples are an array of float32: want a NumPy array of int16"),
        (SILENCE.astype(np.uint16), "samples are an array of uint16: want a NumPy array of int16"),
        (b"\0\0", "samples are bytes: want a NumPy array of int16"),
        (SILENCE.reshape(-1, 2), r"samples have the shape \(4000, 2\): want one channel, int16 \[n\]"),
    ],
)
def test_other_samples_are_refused_and_change_nothing(model: Model, samples: Any, said: str) -> None:
    call = CallStream(model)
    with pytest.raises(ValueError, match=f"^{said}$"):
        call.feed(samples)
    call.feed(SILENCE.astype(">i2"))
    (summary,) = call.end()
    assert summary.data.end_sample == len(SILENCE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample_rate": 44_100}, "sample_rate 44100: want 8000 or 16000 Hz, resample other sound"),
        ({"call_id": "a/b"}, "call_id 'a/b': want letters, digits and"),
        ({"channel": ""}, "channel '': want letters, digits and"),
        ({"channel": 1}, "channel 1: want letters, digits and"),
        ({"start_time": datetime(2026, 1, 1)}, "start_time .*: want a datetime with a zone"),
    ],
)
def test_other_arguments_are_refused(model: Model, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        CallStream(model, **options)

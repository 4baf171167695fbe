"""How an utterance stands to those before it: the mean and deviation that a row keeps, and what events make of them."""

from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import Relative, Segment
from tests.support.streams import cut, lines
from undertone.inference import caller_memory
from undertone.inference.call_stream import CallStream
from undertone.inference.caller_memory import FEWEST, MEASURES, relative, remember
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.records import ROW

RATE = 8000
START = datetime(2026, 1, 1, tzinfo=UTC)


def memory() -> NDArray[np.void]:
    """One stream's row."""
    return np.zeros(1, ROW)


def measured(**found: tuple[float, float]) -> caller_memory.Measured:
    """One utterance's values and weights; what is not named was not to be measured."""
    pairs = {name: found.get(name, (0.0, 0)) for name in MEASURES}
    return {name: (np.array([value]), np.array([weight])) for name, (value, weight) in pairs.items()}


def stands(kept: NDArray[np.void], found: caller_memory.Measured) -> Relative:
    return Relative.model_validate({measure: value for measure, (value,) in relative(kept, found).items()})


def test_mean_and_deviation_are_those_of_all_utterances_weighted() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(-30, 4, 50), rng.uniform(1, 40, 50)
    kept = memory()
    for value, weight in zip(values, weights, strict=True):
        remember(kept, measured(level=(value, weight)))
    mean = np.average(values, weights=weights)
    deviation = np.sqrt(np.average((values - mean) ** 2, weights=weights) * 50 / 49)
    found = stands(kept, measured(level=(-20.0, 1), pitch=(5.0, 1)))
    assert found.level == pytest.approx((-20 - mean) / deviation, abs=0.006)
    assert (found.pitch, found.arousal) == (None, None)


def test_a_thin_memory_says_nothing_and_an_even_speaker_is_no_yardstick_of_nothing() -> None:
    kept = memory()
    even = measured(level=(-30.0, 10), pitch=(5.0, 10), arousal=(0.1, 10))
    for heard in range(FEWEST):
        assert stands(kept, even) == Relative(), heard
        remember(kept, even)
    assert stands(kept, even) == Relative(level=0, pitch=0, arousal=0)
    assert stands(kept, measured(level=(-24.0, 1), pitch=(5.0, 1), arousal=(0.1, 1))).level == 8
    assert stands(kept, measured(level=(-24.0, 1))) == Relative(level=8)


def test_what_is_not_measured_leaves_the_memory_as_it_is_and_neighbours_too() -> None:
    alone, among = memory(), np.zeros(3, ROW)
    for value, weight in ((-30.0, 4), (-28.0, 0), (-31.0, 9), (-25.0, 2)):
        if weight:
            remember(alone, measured(level=(value, weight)))
        remember(among, {"level": (np.array([-40.0, value, 7.0]), np.array([5, weight, 0]))})
    assert among[1:2].tobytes() == alone.tobytes()
    assert among[2:3].tobytes() == memory().tobytes()


def utterances(levels: list[float]) -> NDArray[np.int16]:
    """A vowel of 1.2 s for each level in dB, with 0.9 s of silence after it."""
    time = np.arange(int(1.2 * RATE)) / RATE
    vowel = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12))
    voiced = [np.concatenate([800 * 10 ** (level / 20) * vowel, np.zeros(int(0.9 * RATE))]) for level in levels]
    return np.concatenate(voiced).astype(np.int16)


def test_an_outburst_stands_out_against_what_came_before(model: Model) -> None:
    stream = CallStream(model, RATE, start_time=START)
    events = [*stream.feed(utterances([0, 1, -1, 0, 12, 0])), *stream.end()]
    segments = [event.data for event in events if isinstance(event.data, Segment)]
    assert len(segments) == 6
    levels = [one.relative.level if one.relative else None for one in segments]
    assert levels[:3] == [None, None, None]
    assert levels[3] is not None and abs(levels[3]) < 1
    assert levels[4] is not None and levels[4] > 6
    assert levels[5] is not None and abs(levels[5]) < 1.5
    assert segments[4].relative is not None and segments[4].relative.pitch == pytest.approx(0, abs=0.5)
    assert events[-1].data.relative is None
    updates = [event.data for event in events if event.data.type == "update" and event.data.relative]
    loud = [one.relative.level for one in updates if one.relative and one.start_sample == segments[4].start_sample]
    assert loud and all(level is not None and level > 6 for level in loud)


def test_the_memory_is_restored_with_the_stream_wherever_a_worker_died(model: Model) -> None:
    samples = utterances([0, 2, -2, 1, 9, 0])
    chunks = cut(samples, RATE, 3000)
    whole = lines(Engine(model).feed(chunks).events)
    engine, heard = Engine(model), []
    for chunk in chunks:
        heard += engine.feed([chunk]).events
        (record,) = engine.take_changes()
        assert record.value is not None
        engine = Engine(model)
        engine.restore(record.stream, record.partition, record.value)
    assert lines(heard) == whole


def test_another_model_keeps_the_voice_and_begins_with_its_arousal_anew(model: Model) -> None:
    samples = utterances([0, 1, -1, 0, 0, 0, 0])
    other = model.with_card(model.card.model_copy(update={"version": "other-1"}))
    chunks = cut(samples, RATE, 2100)  # 2.1 s an utterance: eight chunks each
    engine = Engine(model)
    events = engine.feed(chunks[: 4 * 8]).events
    engine.switch_model(other)
    events += engine.feed(chunks[4 * 8 :]).events
    segments = [event.data for event in events if isinstance(event.data, Segment)]
    assert [one.model_version == "other-1" for one in segments] == [False] * 4 + [True] * 3
    assert segments[3].relative is not None and segments[3].relative.arousal is not None
    after = segments[4].relative
    assert after is not None and after.level is not None and after.pitch is not None and after.arousal is None


def test_a_model_of_other_labels_begins_with_the_summary_anew(model: Model) -> None:
    other = model.with_card(model.card.model_copy(update={"version": "other-1", "labels": model.card.labels[::-1]}))
    chunks = cut(utterances([0] * 6), RATE, 2100)
    engine = Engine(model)
    events = engine.feed(chunks[: 4 * 8]).events
    engine.switch_model(other)
    events += engine.feed(chunks[4 * 8 :]).events
    later = [
        event.data for event in events if isinstance(event.data, Segment) and event.data.model_version == "other-1"
    ]
    assert len(later) == 2
    assert events[-1].data.speech_s == pytest.approx(sum(one.speech_s for one in later))

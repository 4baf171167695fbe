"""The engine's promises: chunking does not matter, nor neighbours, nor being stopped and restored."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.audio import Encoding, Role
from tests.support.streams import customer, cut, hear, lines, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model


def test_the_call_has_updates_segments_and_one_summary(expected: list[str]) -> None:
    data = [json.loads(line.partition(" ")[2]) for line in expected]
    kinds = [event["type"] for event in data]
    assert kinds[-1] == "summary"
    assert kinds.count("summary") == 1
    assert kinds.count("segment") == data[-1]["segments"] >= 3
    assert all(event["end_sample"] % 4000 == 0 for event in data if event["type"] == "update")
    assert all(abs(sum(event["probabilities"].values()) - 1) < 1e-5 for event in data)
    for segment in (event for event in data if event["type"] == "segment"):
        assert 0 <= segment["start_sample"] < segment["end_sample"] <= data[-1]["end_sample"]
        assert -60 < segment["level_dbfs"] < 0
        assert 65 < segment["pitch_hz"] < 400


def test_segments_lie_where_the_customer_speaks(expected: list[str]) -> None:
    data = [json.loads(line.partition(" ")[2]) for line in expected]
    starts = [event["start_sample"] / 8000 for event in data if event["type"] == "segment"]
    # The lines' starts as samples/make.sh places them; espeak-ng begins up to 0.1 s into its file.
    for said in (4.2, 12.8, 16.8, 23.4):
        assert any(-0.05 < start - said < 0.25 for start in starts), (said, starts)


@given(st.data())
@settings(max_examples=15)
def test_any_cutting_gives_the_same_events(model: Model, expected: list[str], data: st.DataObject) -> None:
    samples, rate = customer()
    sizes = data.draw(st.lists(st.integers(1, 9000), min_size=1, max_size=20))
    batch = data.draw(st.integers(1, 40))
    chunks = cut(samples, rate, itertools.cycle(sizes).__next__)
    assert lines(hear(Engine(model), chunks, batch)) == expected


@pytest.mark.parametrize("milliseconds", [60, 370, 1000])
@pytest.mark.parametrize("name", ["angry.flac", "phone.wav"])
def test_chunks_of_other_lengths_give_the_same_events(model: Model, name: str, milliseconds: int) -> None:
    samples, rate = load(name)
    whole = lines(hear(Engine(model), cut(samples, rate, len(samples))))
    assert len(whole) >= 3
    assert lines(hear(Engine(model), cut(samples, rate, rate * milliseconds // 1000), batch=2)) == whole


def test_neighbours_do_not_show(model: Model, expected: list[str]) -> None:
    """The same call among 40 others, of both rates and all encodings."""
    rng = np.random.default_rng(0)
    streams = [cut(*customer(), 4000)]
    for n in range(40):
        samples, rate = load(("angry.flac", "calm.flac", "phone.wav")[n % 3])
        encoding = (Encoding.L16, Encoding.PCMU, Encoding.PCMA, Encoding.L16LE)[n % 4]
        streams.append(cut(samples, rate, int(rng.integers(300, 9000)), call_id=f"other-{n}", encoding=encoding))
    mixed = [chunk for turn in itertools.zip_longest(*streams) for chunk in turn if chunk]
    engine = Engine(model)
    events = [event for event in hear(engine, mixed, batch=64) if event.subject == "call/customer"]
    assert lines(events) == expected
    assert engine.open_streams == 0


def test_a_restored_engine_goes_on_from_the_very_frame(model: Model, expected: list[str]) -> None:
    """A new engine after every batch, from the last one's records."""
    samples, rate = customer()
    records: dict[tuple[str, int], bytes] = {}
    events = []
    for chunk in cut(samples, rate, 2960, partition=3):
        engine = Engine(model)
        for (stream, partition), value in records.items():
            engine.restore(stream, partition, value)
        events += engine.feed([chunk]).events
        for record in engine.take_changes():
            assert record.partition == 3
            if record.value is None:
                del records[record.stream, record.partition]
            else:
                records[record.stream, record.partition] = record.value
                assert len(record.value) < 10_000
    assert lines(events) == expected
    assert len(records) == 1  # the marker of the ended call


def test_every_stream_is_saved_once_and_only_when_it_changed(model: Model) -> None:
    engine = Engine(model)
    engine.feed(cut(*customer(), 400, end=False, partition=0)[:50])
    assert [record.stream for record in engine.take_changes()] == ["call/customer"]
    assert engine.take_changes() == []


def test_dropped_partitions_are_forgotten(model: Model) -> None:
    engine = Engine(model)
    engine.feed(cut(*customer(), 400, end=False, partition=1)[:5])
    engine.feed(cut(*customer(), 400, end=False, partition=2, call_id="other")[:5])
    engine.drop(1)
    assert engine.open_streams == 1
    assert [record.stream for record in engine.take_changes()] == ["other/customer"]


def test_events_say_where_their_audio_lies(model: Model) -> None:
    chunks = cut(*customer(), 4000, partition=5)
    for event in hear(Engine(model), chunks, batch=3):
        span = event.data.audio
        assert span is not None
        assert (span.topic, span.partition) == ("call-audio", 5)
        held = [
            chunk for chunk in chunks if chunk.place and span.first_offset <= chunk.place.offset <= span.last_offset
        ]
        assert held[0].first_sample <= event.data.start_sample
        assert held[-1].first_sample + held[-1].samples >= event.data.end_sample
    assert hear(Engine(model), cut(*customer(), 4000))[-1].data.audio is None


def test_a_stream_that_ends_right_after_a_restore_says_where_its_audio_lies(model: Model) -> None:
    engine = Engine(model)
    engine.feed(cut(*customer(), 4000, end=False, partition=5))
    (record,) = engine.take_changes()
    assert record.value is not None
    restored = Engine(model)
    restored.restore(record.stream, record.partition, record.value, "call-audio")
    span = restored.close_idle(5, 10**9).events[-1].data.audio
    assert span is not None
    assert (span.topic, span.partition, span.first_offset, span.last_offset) == ("call-audio", 5, 10, 60)


def test_agents_are_not_analysed_unless_asked(model: Model) -> None:
    chunks = cut(*load("call.flac", 0), 4000, role=Role.AGENT)
    result = Engine(model).feed(chunks)
    assert (result.events, result.skipped) == ([], len(chunks))
    events = Engine(model, analyze_agent=True).feed(chunks).events
    assert {event.data.role for event in events} == {Role.AGENT}


def test_long_speech_is_cut_and_a_day_long_call_keeps_its_clock(model: Model) -> None:
    """Speech without a pause, at the end of a 24-hour stream of which the middle is lost."""
    samples, rate = load("phone.wav")
    voiced = np.tile(samples[4000:16000], 30)
    day = 24 * 3600 * rate + 123
    late = [
        chunk.model_copy(update={"first_sample": chunk.first_sample + day, "sequence": chunk.sequence + 1})
        for chunk in cut(voiced, rate, 4000)
    ]
    first = cut(samples, rate, 4000, end=False)[:1]
    result = Engine(model).feed([*first, *late])
    segments = [event.data for event in result.events if event.data.type == "segment"]
    assert result.gaps == 1
    assert segments[-1].end_sample <= day + len(voiced) == result.events[-1].data.end_sample
    assert max(segment.end_sample - segment.start_sample for segment in segments) <= 20 * rate + 2000
    assert any(segment.ended_by == "length" for segment in segments)


@pytest.mark.parametrize("level", [0, 1, 32767])
def test_extreme_sound_gives_finite_numbers(model: Model, level: int) -> None:
    """Digital silence, the smallest noise, and a clipped square wave."""
    wave = np.where(np.arange(24_000) // 20 % 2, level, -level).astype(np.int16)
    events = hear(Engine(model), cut(wave, 8000, 1000))
    summary = json.loads(events[-1].model_dump_json())["data"]
    assert (summary["label"] == "no-speech") == (level < 2)
    values = [v for event in events for v in event.data.probabilities.values()]
    assert np.isfinite(values).all()


def test_an_agents_state_is_given_up_where_agents_are_not_analysed(model: Model) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, 4000, role=Role.AGENT, partition=3)
    before = Engine(model, analyze_agent=True)
    before.feed(chunks[:20])
    (record,) = before.take_changes()
    assert record.value
    after = Engine(model)
    after.restore(record.stream, record.partition, record.value)
    assert after.open_streams == 0
    assert not after.close_idle(3, 10**15).events
    assert [(change.stream, change.partition, change.value) for change in after.take_changes()] == [
        (record.stream, 3, None)
    ]


def test_a_call_that_goes_on_in_another_partition_is_a_stream_of_its_own_there(model: Model) -> None:
    samples, rate = customer()
    before = cut(samples, rate, 4000, partition=1)[:30]
    after = cut(samples, rate, 4000, partition=5)[30:]
    apart = lines(hear(Engine(model), before)), lines(hear(Engine(model), after))
    engine = Engine(model)
    assert (lines(hear(engine, before)), lines(hear(engine, after))) == apart  # as if two workers had them
    assert sorted((record.partition, record.value is None) for record in engine.take_changes()) == [
        (1, False),
        (5, False),
    ]
    (summary,) = engine.close_idle(1, 10**9).events[-1:]
    assert summary.data.type == "summary" and summary.data.ended_by == "idle"
    assert summary.data.audio is not None and summary.data.audio.partition == 1
    engine.drop(5)
    assert engine.open_streams == 0

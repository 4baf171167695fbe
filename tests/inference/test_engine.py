"""The engine's promises: chunking does not matter, nor neighbours, nor being stopped and restored."""

import itertools
import json
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.audio import AudioChunk, Encoding, RecordPlace, Role
from tests.support.streams import customer, cut, hear, lines, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def expected(model: Model) -> list[str]:
    """The call's events, result in chunks of 500 ms."""
    return lines(hear(Engine(model), cut(*customer(), 4000), batch=1))


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
@settings(max_examples=15, deadline=None)
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


def test_a_new_model_waits_for_the_next_segment(model: Model) -> None:
    newer = model.with_card(model.card.model_copy(update={"version": "newer"}))
    chunks = cut(*customer(), 2000)
    engine = Engine(model)
    events = hear(engine, chunks[:20], batch=1)  # 5 s: in the middle of the first utterance
    assert events[-1].data.type == "update"
    engine.switch_model(newer)
    events += hear(engine, chunks[20:], batch=1)
    by_segment = [event.data.model_version for event in events if event.data.type == "segment"]
    assert by_segment == [model.card.version] + ["newer"] * (len(by_segment) - 1)
    first_segment = next(n for n, event in enumerate(events) if event.data.type == "segment")
    assert {event.data.model_version for event in events[:first_segment]} == {model.card.version}


def test_an_utterance_ends_with_the_settings_of_the_model_that_began_it(model: Model, expected: list[str]) -> None:
    """The next model's gate hears next to nothing, and its pauses and updates are others: that is for later ones."""
    card = model.card
    deaf = card.gate.model_copy(update={"min_dbfs": -1.0})
    patient = card.segments.model_copy(update={"gap_frames": 800, "update_ms": 250, "min_speech_frames": 1})
    newer = model.with_card(card.model_copy(update={"version": "newer", "gate": deaf, "segments": patient}))
    chunks = cut(*customer(), 2000, partition=0)
    assert {len(chunks[index].audio) for index in (19, 20)} == {4000}
    before = Engine(model)
    events = hear(before, chunks[:20], batch=1)  # 5 s: in the middle of the first utterance
    (saved,) = before.take_changes()
    assert saved.value is not None
    swapped, restored = Engine(model), Engine(newer)
    hear(swapped, chunks[:20])
    swapped.switch_model(newer)
    restored.add_model(model)
    restored.restore(saved.stream, saved.partition, saved.value)
    for engine in (swapped, restored):
        said = events + hear(engine, chunks[20:], batch=3)
        assert [event.data.type for event in said[-2:]] == ["segment", "summary"]
        assert lines(said)[:-1] == expected[: len(said) - 1]
        assert said[-2].data.model_version == card.version


def test_a_segment_goes_on_with_its_old_model_after_a_restore(model: Model, expected: list[str]) -> None:
    newer = model.with_card(model.card.model_copy(update={"version": "newer"}))
    chunks = cut(*customer(), 2000)
    engine = Engine(model)
    events = hear(engine, chunks[:20])
    restored = Engine(newer)
    restored.add_model(model)
    for record in engine.take_changes():
        assert record.value is not None
        restored.restore(record.stream, record.partition, record.value)
    events += hear(restored, chunks[20:])
    segments = [event.data for event in events if event.data.type == "segment"]
    assert [segment.model_version for segment in segments[:2]] == [model.card.version, "newer"]
    assert lines(events)[: len(events) // 4] == expected[: len(events) // 4]


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


def test_a_full_engine_rejects_new_streams_only(model: Model) -> None:
    engine = Engine(model, max_streams=2)
    firsts = [cut(*customer(), 4000, call_id=f"c{n}")[0] for n in range(3)]
    result = engine.feed(firsts)
    assert [(chunk.call_id, rejected.reason) for chunk, rejected in result.rejected] == [("c2", "too_many_streams")]
    assert engine.open_streams == 2


def test_many_rows_keep_their_streams_apart(model: Model) -> None:
    """More streams than the table's first capacity, ended and begun again in its rows."""
    samples, rate = load("phone.wav")
    alone = lines(hear(Engine(model), cut(samples, rate, 4000, call_id="x")))
    engine = Engine(model)
    for turn in range(2):
        chunks: list[AudioChunk] = []
        for n in range(150):
            chunks += cut(samples, rate, 4000, call_id=f"{turn}-{n}")
        events = hear(engine, chunks, batch=97)
        assert len(events) == 150 * len(alone)
    assert engine.open_streams == 0


def test_an_open_stream_takes_a_few_kilobytes(model: Model) -> None:
    engine = Engine(model)

    def hear_more(names: range) -> None:
        streams = [cut(np.zeros(4000, np.int16), 8000, 4000, call_id=f"call-{n}", end=False) for n in names]
        for start in range(0, len(streams), 500):
            engine.feed([chunk for stream in streams[start : start + 500] for chunk in stream])

    tracemalloc.start()
    hear_more(range(2000))
    before, _ = tracemalloc.get_traced_memory()
    hear_more(range(2000, 3000))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 1000 < 8000  # with rows that nobody has yet


def test_a_large_batch_takes_no_more_scratch_memory_than_a_small_one(model: Model) -> None:
    """Of what a worker finds after an outage its memory must not depend: it keeps what it has once taken."""
    samples, rate = load("angry.flac")
    chunks = cut(samples, rate, rate // 2, end=False)[:2]
    calls = [[chunk.model_copy(update={"call_id": f"c{n}"}) for n in range(2000)] for chunk in chunks]
    engine = Engine(model)
    engine.feed(calls[0])
    scratch = []
    tracemalloc.start()
    for count in (500, 1500):
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        engine.feed(calls[1][:count])
        del calls[1][:count]
        scratch.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert scratch[1] < 1.5 * scratch[0]  # its events are in both; all of it together would be three times as much


def test_closing_many_idle_streams_takes_little_more_scratch_memory_than_closing_some(model: Model) -> None:
    """As where a gateway has gone, with all of its calls."""
    first = cut(*load("phone.wav"), 1900)[0]
    engine, counts = Engine(model), (50, 500, 1500)  # the first of them make room for what all carry
    for partition, count in enumerate(counts):
        place = RecordPlace(topic="call-audio", partition=partition, offset=1)
        engine.feed([first.model_copy(update={"call_id": f"c{n}", "place": place}) for n in range(count)])
    scratch = []
    tracemalloc.start()
    for partition, count in enumerate(counts):
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert len(engine.close_idle(partition, 10**7).written) == count
        scratch.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert scratch[2] < 1.5 * scratch[1]  # with their summaries, and what is kept of them


def test_the_table_gives_memory_back_and_goes_on(model: Model) -> None:
    """Hundreds of calls of which some stay, of both rates: their rows move, their events do not change."""
    engine = Engine(model)
    staying = {name: cut(*load(name), 4000, call_id=name[:5], partition=1) for name in ("phone.wav", "angry.flac")}
    alone = {name: lines(Engine(model).feed(chunks).events) for name, chunks in staying.items()}
    others = [cut(*load("phone.wav"), 4000, call_id=f"c{n}", partition=0)[:2] for n in range(600)]
    events = {name: engine.feed(staying[name][:3]).events for name in staying if name == "phone.wav"}
    engine.feed([chunk for chunks in others for chunk in chunks])
    events |= {"angry.flac": engine.feed(staying["angry.flac"][:3]).events}
    assert len(engine._table.rows) > 600
    engine.close_idle(0, 10**7)
    assert len(engine._table.rows) < 100
    for name, chunks in staying.items():
        assert lines(events[name] + engine.feed(chunks[3:]).events) == alone[name]


def test_closing_idle_streams_costs_little_where_none_is_due(model: Model) -> None:
    """A look at 5,000 streams is a look at two arrays; one at each of them would take 100 times as long."""
    engine = Engine(model, max_streams=10_000)
    first = cut(*load("phone.wav"), 400, partition=0)[0]
    engine.feed([first.model_copy(update={"call_id": f"c{n}"}) for n in range(5000)])
    engine.feed([first.model_copy(update={"call_id": f"e{n}", "end_of_stream": True}) for n in range(5000)])
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        assert engine.close_idle(0, 0).events == []
    finally:
        sys.setprofile(None)
    assert calls < 100


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

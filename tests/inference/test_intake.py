"""Gaps, repeats, wrong order, ends: what becomes of chunks that do not simply follow each other."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.audio import AudioChunk, Encoding
from schemas.dead_letters import Reason
from schemas.events import Summary
from tests.support.streams import START, customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.intake import Intake
from undertone.inference.model import Model


@pytest.fixture
def chunks() -> list[AudioChunk]:
    return cut(*customer(), 4000, partition=0)


def reasons(engine: Engine, chunks: list[AudioChunk]) -> list[str]:
    return [rejected.reason.value for _, rejected in engine.feed(chunks).rejected]


def test_streams_that_are_taken_together_are_taken_as_one_by_one(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, rate = customer()
    encodings = itertools.cycle(Encoding)
    streams = [
        cut(samples[n * 999 :], rate, 1700 + 800 * n, call_id=f"c{n}", encoding=next(encodings), partition=n % 2)
        for n in range(5)
    ]
    del streams[1][3]  # lost
    streams[2][4:4] = streams[2][2:4]  # sent again
    streams[3][5:] = cut(samples, rate, 2500, call_id="c3", encoding=Encoding.PCMA, partition=1)[5:]  # other cuts
    batches = [[chunk for stream in streams for chunk in stream[start : start + 3]] for start in range(0, 15, 3)]

    def heard() -> list[object]:
        engine = Engine(model)
        results = [engine.feed(batch) for batch in batches]
        counts = [(result.gaps, result.repeats, result.clicks, len(result.rejected)) for result in results]
        since = [engine.unsaved_since(partition) for partition in (0, 1)]
        return [[result.written for result in results], counts, since, engine.take_changes()]

    together = heard()
    monkeypatch.setattr(Intake, "take_plain", lambda self, waiting: {})
    assert heard() == together


def test_repeats_are_dropped_and_counted(model: Model, chunks: list[AudioChunk]) -> None:
    clean = lines(Engine(model).feed(chunks).events)
    doubled = [chunk for chunk in chunks for _ in range(2)]
    result = Engine(model).feed(doubled)
    assert lines(result.events) == clean
    assert (result.repeats, result.gaps, result.rejected) == (len(chunks), 0, [])


def test_a_repeat_under_a_new_number_is_not_heard_twice(model: Model, chunks: list[AudioChunk]) -> None:
    clean = lines(Engine(model).feed(chunks).events)
    renumbered = [chunk.model_copy(update={"sequence": 2 * chunk.sequence}) for chunk in chunks]
    again = [chunk.model_copy(update={"sequence": chunk.sequence + 1, "end_of_stream": False}) for chunk in renumbered]
    sent = [chunk for pair in zip(renumbered, again, strict=True) for chunk in pair][:-1]
    result = Engine(model).feed(sent)
    assert lines(result.events) == clean
    assert result.repeats == len(chunks) - 1


def test_a_lost_chunk_is_silence_and_later_times_stay_right(model: Model, chunks: list[AudioChunk]) -> None:
    samples, rate = customer()
    silenced = samples.copy()
    silenced[40_000:44_000] = 0
    expected = lines(Engine(model).feed(cut(silenced, rate, 4000)).events)
    result = Engine(model).feed([chunk for chunk in chunks if chunk.sequence != 10])
    assert lines(result.events) == expected
    assert result.gaps == 1


def test_a_long_gap_ends_the_segment_and_skips_ahead(model: Model, chunks: list[AudioChunk]) -> None:
    kept = [chunk for chunk in chunks if not 11 <= chunk.sequence < 30]
    for batch in (1, 1000):
        engine = Engine(model)
        events = hear(engine, kept, batch)
        segments = [event.data for event in events if event.data.type == "segment"]
        assert segments[0].end_sample <= 44_000
        assert all(segment.start_sample >= 120_000 for segment in segments[1:])
        assert events[-1].data.end_sample == 204_000
    assert Engine(model).feed(kept).gaps == 1


def test_a_chunk_that_comes_after_its_gap_is_a_dead_letter(model: Model, chunks: list[AudioChunk]) -> None:
    engine = Engine(model)
    late = [*chunks[:5], chunks[6], chunks[5], *chunks[7:]]
    assert reasons(engine, late) == [Reason.OUT_OF_ORDER]
    assert engine.open_streams == 0


def test_after_the_end(model: Model, chunks: list[AudioChunk]) -> None:
    engine = Engine(model)
    engine.feed(chunks)
    repeat = engine.feed(chunks[-1:])
    assert (repeat.repeats, repeat.rejected, repeat.events) == (1, [], [])
    more = chunks[-1].model_copy(update={"sequence": len(chunks), "first_sample": 204_000})
    assert reasons(engine, [more]) == [Reason.AFTER_END]


def test_a_stream_begins_anew_with_a_later_start(model: Model, chunks: list[AudioChunk]) -> None:
    later = START + timedelta(hours=1)
    again = cut(*customer(), 4000, start=later)
    engine = Engine(model)
    first, second = engine.feed(chunks).events, engine.feed(again).events
    assert [event.data.type for event in first] == [event.data.type for event in second]
    assert not {event.id for event in first} & {event.id for event in second}
    assert reasons(engine, chunks[:1]) == [Reason.OUT_OF_ORDER]


def test_a_later_start_ends_a_stream_that_never_ended(model: Model, chunks: list[AudioChunk]) -> None:
    again = cut(*customer(), 4000, start=START + timedelta(hours=1))
    events = Engine(model).feed([*chunks[:20], *again]).events
    ends = [event.data.ended_by for event in events if event.data.type == "summary"]
    assert ends == ["replaced", "end"]


def test_another_rate_is_a_dead_letter_and_the_stream_goes_on(model: Model, chunks: list[AudioChunk]) -> None:
    clean = lines(Engine(model).feed(chunks).events)
    wrong = chunks[3].model_copy(update={"sample_rate": 16000})
    result = Engine(model).feed([*chunks[:3], wrong, *chunks[3:]])
    assert [rejected.reason for _, rejected in result.rejected] == [Reason.RATE_CHANGED]
    assert lines(result.events) == clean


def test_a_late_joiner_keeps_the_streams_clock(model: Model, chunks: list[AudioChunk]) -> None:
    result = Engine(model).feed(chunks[20:])
    assert result.gaps == 1
    assert result.events[-1].data.start_sample == 80_000
    assert result.events[-1].data.end_sample == 204_000


def test_idle_streams_are_closed_by_event_time(model: Model, chunks: list[AudioChunk]) -> None:
    engine = Engine(model, idle_seconds=60)
    engine.feed(chunks[:28])  # while the customer speaks, the last at 27 s
    assert engine.close_idle(0, 87_000).events == []
    assert engine.close_idle(1, 10_000_000).events == []
    events = engine.close_idle(0, 87_001).events
    assert [event.data.type for event in events][-2:] == ["segment", "summary"]
    summary = events[-1].data
    assert isinstance(summary, Summary)
    assert summary.ended_by == "idle"
    assert engine.open_streams == 0
    engine.take_changes()
    engine.close_idle(0, 87_001 + 12 * 60_000)
    assert engine.take_changes() == []
    engine.close_idle(0, 87_002 + 12 * 60_000)  # the marker goes as well, and with it the state record
    assert [record.value for record in engine.take_changes()] == [None]


def test_an_empty_last_chunk_ends_the_stream(model: Model, chunks: list[AudioChunk]) -> None:
    clean = lines(Engine(model).feed(chunks).events)
    open_ended = chunks[-1].model_copy(update={"end_of_stream": False})
    end = chunks[-1].model_copy(
        update={"sequence": len(chunks), "first_sample": 204_000, "audio": b"", "end_of_stream": True}
    )
    assert lines(Engine(model).feed([*chunks[:-1], open_ended, end]).events) == clean


@pytest.mark.parametrize("damage", [b"", b"UT", b"XX" + bytes(400), b"UT\x01\x00" + b"\xff" * 4000])
def test_a_damaged_state_record_is_refused(model: Model, damage: bytes) -> None:
    with pytest.raises(ValueError, match="state record"):
        Engine(model).restore("call/customer", 0, damage)


@pytest.fixture
def held(model: Model, chunks: list[AudioChunk]) -> Engine:
    """An engine that closed the call between two utterances, 11 s after its start, for being idle."""
    engine = Engine(model, idle_seconds=60)
    engine.feed(chunks[:22])
    assert [event.data.type for event in engine.close_idle(0, 10**6).events][-1] == "summary"
    assert engine.open_streams == 0
    return engine


def test_a_call_that_was_on_hold_goes_on(model: Model, chunks: list[AudioChunk], held: Engine) -> None:
    whole = Engine(model).feed(chunks)
    rest = held.feed(chunks[22:])
    assert (rest.rejected, rest.repeats, rest.gaps) == ([], 0, 0)
    # Its last events are those of a call that was never on hold: the summary speaks of the whole of it.
    assert lines(rest.events) == lines(whole.events)[-len(rest.events) :]
    assert len([event for event in rest.events if event.data.type == "segment"]) >= 2


def test_a_call_on_hold_goes_on_in_another_worker(model: Model, chunks: list[AudioChunk], held: Engine) -> None:
    (record,) = held.take_changes()
    assert record.value is not None
    assert len(record.value) < 500
    other = Engine(model)
    other.restore(record.stream, record.partition, record.value, "call-audio")
    assert other.open_streams == 0
    assert other.feed(chunks[22:]).events == held.feed(chunks[22:]).events


def test_a_call_that_goes_on_with_another_model_tells_what_that_one_made_of_it(
    model: Model, chunks: list[AudioChunk], held: Engine
) -> None:
    (record,) = held.take_changes()
    assert record.value is not None
    other = Engine(Model(model.card.model_copy(update={"version": "newer"}), model.runtime))
    other.restore(record.stream, record.partition, record.value)
    summary = other.feed(chunks[22:]).events[-1].data
    assert (summary.model_version, summary.start_sample) == ("newer", 0)
    assert 0 < summary.speech_s < Engine(model).feed(chunks).events[-1].data.speech_s


def test_a_pause_is_a_gap_where_samples_went_on_without_it(
    model: Model, chunks: list[AudioChunk], held: Engine
) -> None:
    pause = 400 * 8000
    later = [chunk.model_copy(update={"first_sample": chunk.first_sample + pause}) for chunk in chunks[22:]]
    rest = held.feed(later)
    assert rest.gaps == 1
    summary = rest.events[-1].data
    assert (summary.start_sample, summary.end_sample) == (0, 204_000 + pause)
    assert summary.speech_s == Engine(model).feed(chunks).events[-1].data.speech_s


def test_an_end_without_sound_adds_nothing_to_an_idle_end(chunks: list[AudioChunk], held: Engine) -> None:
    end = chunks[22].model_copy(update={"audio": b"", "end_of_stream": True})
    held.take_changes()
    result = held.feed([end])
    assert (result.events, result.rejected) == ([], [])
    assert len(held.take_changes()) == 1
    assert reasons(held, chunks[23:24]) == [Reason.AFTER_END]


def test_repeats_of_an_idle_stream_do_not_open_it(chunks: list[AudioChunk], held: Engine) -> None:
    assert held.feed(chunks[16:22]).repeats == 6
    assert held.open_streams == 0
    wrong = chunks[22].model_copy(update={"sample_rate": 16000})
    assert reasons(held, [wrong]) == [Reason.RATE_CHANGED]
    assert held.open_streams == 0


def test_markers_are_bounded(model: Model, chunks: list[AudioChunk]) -> None:
    """The oldest goes, of whatever partition, and its record is deleted."""
    engine = Engine(model, max_streams=3)
    for number in range(5):
        end = cut(*customer(), 4000, call_id=f"c{number}", partition=number % 2)[0]
        place = replace(end.place, timestamp_ms=number) if end.place else None
        engine.feed([end.model_copy(update={"end_of_stream": True, "place": place})])
    saved = {record.stream: record.value for record in engine.take_changes()}
    assert [saved[f"c{number}/customer"] is None for number in range(5)] == [True, True, False, False, False]

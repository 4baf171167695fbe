"""Many streams in one engine: they are kept apart, and memory and work are bounded."""

import gc
import sys
import tracemalloc

import numpy as np

from schemas.audio import AudioChunk, RecordPlace
from tests.support.streams import customer, cut, hear, lines, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model


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


def places_held() -> int:
    """Places of records in Kafka that this process holds."""
    gc.collect()
    # Not isinstance: a library's weak proxy among all objects of the process may have outlived what it stands for.
    return sum(type(one) is RecordPlace for one in gc.get_objects())


def test_of_a_stream_s_chunks_nothing_is_kept(model: Model) -> None:
    """A call of hours takes no more memory than one that has begun: their places in Kafka go with them, too."""
    samples, rate = load("angry.flac")
    engine, before = Engine(model), places_held()
    for chunk in cut(np.tile(samples, 3), rate, rate // 10, partition=0, end=False):
        engine.feed([chunk])
        engine.take_changes()
    del chunk
    assert places_held() - before <= engine.open_streams


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

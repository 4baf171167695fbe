"""What waits after an outage comes partition by partition, stream by stream, and is heard side by side."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import Mock

import pytest

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.streams import cut, lines, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model

STREAMS, PARTITIONS = 24, 2


def backlog() -> list[AudioChunk]:
    """Each stream's chunks as one piece, with offsets as a partition gives them: more than are heard at once."""
    samples, rate = load("phone.wav")
    found = []
    for n in range(STREAMS):
        found += cut(
            samples[100 * n :][: 3 * rate], rate, rate // 8, call_id=f"call-{n}", partition=n * PARTITIONS // STREAMS
        )
    return [
        chunk.model_copy(update={"place": replace(chunk.place, offset=offset)})
        for offset, chunk in enumerate(found)
        if chunk.place
    ]


def by_call(events: Sequence[EventEnvelope]) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for event in events:
        found[event.data.call_id] += lines([event])
    return found


def test_each_stream_s_events_are_those_of_its_chunks_one_by_one(model: Model) -> None:
    chunks, one_by_one = backlog(), Engine(model)
    expected = by_call([event for chunk in chunks for event in one_by_one.feed([chunk]).events])
    assert by_call(Engine(model).feed(chunks).events) == expected


def test_the_network_runs_for_as_many_streams_at_once_as_there_are(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Mock(wraps=model.runtime.run)
    monkeypatch.setattr(model.runtime, "run", run)
    Engine(model).feed(backlog())
    streams = [len(call.args[0]) for call in run.call_args_list]
    assert sum(streams) / len(streams) > STREAMS / 2  # some are silent at times


@pytest.mark.parametrize("known", [0, 7, STREAMS])
def test_what_has_to_be_heard_again_begins_with_the_oldest_chunk_that_no_record_knows(model: Model, known: int) -> None:
    """Also where streams begin in the backlog, of which a record is made at once."""
    engine, chunks = Engine(model), backlog()
    firsts = [chunk for chunk in chunks if chunk.sequence == 0 and int(chunk.call_id[5:]) >= STREAMS - known]
    engine.feed(firsts)
    engine.take_changes()
    rest = [chunk for chunk in chunks if chunk not in firsts and not chunk.end_of_stream]
    engine.feed(rest)
    saved = {record.stream for record in engine.take_changes(dict.fromkeys(range(PARTITIONS), 0))}
    for partition in range(PARTITIONS):
        behind = [
            chunk.place.offset
            for chunk in rest
            if chunk.place and chunk.place.partition == partition and chunk.stream not in saved
        ]
        since = engine.unsaved_since(partition)
        assert (since.offset if since else None) == min(behind, default=None)

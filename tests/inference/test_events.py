"""Events are written without their models: the bytes are those that the models would have written."""

from datetime import timedelta

import pytest

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.streams import START, customer, cut, load
from undertone.inference.engine import Engine
from undertone.inference.model import Model

# Whole seconds are written without a fraction, others with all six digits of it.
STARTS = {"call": START, "silent": START, "elsewhere": START, "unended": START + timedelta(microseconds=100_020)}


def chunks() -> list[AudioChunk]:
    """Calls of both rates: one that speaks, one that says nothing, one without a place in Kafka, one unended."""
    speaks = cut(*customer(), 4000, partition=2)
    samples, rate = load("calm.flac")
    silent = cut(samples[:40_003] * 0, rate, 4000, call_id="silent", partition=0)  # ends at half a microsecond
    elsewhere = cut(*load("phone.wav"), 4000, call_id="elsewhere")
    unended = cut(samples, rate, 4000, call_id="unended", end=False, start=STARTS["unended"])
    return [*speaks, *silent, *elsewhere, *unended]


@pytest.mark.parametrize("changes", [{}, {"groups": {}, "affect": {}}, {"caller": None}])
def test_written_events_are_what_their_models_would_write(changes: dict[str, object]) -> None:
    shipped = Model.load()
    model = shipped.with_card(shipped.card.model_copy(update=changes))
    engine = Engine(model, idle_seconds=1)
    written = engine.feed(chunks()).written + engine.close_idle(0, 10**9).written
    assert {event.kind for event in written} == {"update", "segment", "summary"}
    for event in written:
        envelope = event.envelope()
        assert event.value == envelope.model_dump_json().encode()
        start = STARTS[envelope.data.call_id]
        assert event.value == EventEnvelope.around(envelope.data, start).model_dump_json().encode()
        assert (event.subject, event.kind) == (envelope.subject, envelope.data.type)
        audio = envelope.data.audio
        assert event.last == ((audio.partition, audio.last_offset) if audio else None)

"""A new model: an open utterance keeps the one that it began with, also where it is restored."""

from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model


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

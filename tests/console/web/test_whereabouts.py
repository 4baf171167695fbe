"""Between which offsets a call's sound lies, as its events tell."""

from types import SimpleNamespace

from tests.support.console import RATE, Speaker
from undertone.console.web.entries import Entry, entry_of
from undertone.console.web.whereabouts import whereabouts


def entry(speaker: Speaker, kind: str, start: float, end: float, first: int, last: int, partition: int = 3) -> Entry:
    """An event that says where its sound lies; it came half a second after its end."""
    audio = {"topic": "call-audio", "partition": partition, "first_offset": first, "last_offset": last}
    event = speaker.event(kind, start, end, audio=audio)
    moment = round((speaker.began.timestamp() + end + 0.5) * 1000)
    record = SimpleNamespace(partition=0, offset=0, timestamp=moment, value=event.model_dump_json().encode())
    found = entry_of(record)
    assert found
    return found


def test_what_lies_between_events_lies_between_their_offsets() -> None:
    speaker = Speaker("call-1")
    spans = [("segment", 4, 9, 100, 140), ("segment", 20, 30, 300, 390), ("update", 40, 42, 500, 510)]
    here = whereabouts([entry(speaker, *span) for span in spans])["customer"]
    assert (here.stream, here.rate, here.partition, here.known) == ("call-1/customer", RATE, 3, 42 * RATE)
    # Before the first event only time tells.
    assert here.offset_from(2 * RATE) is None
    assert [here.offset_from(second * RATE) for second in (5, 19, 25, 41)] == [100, 100, 300, 500]
    assert [here.offset_to(second * RATE) for second in (2, 8, 10, 29, 31, 42)] == [140, 140, 390, 390, 510, 510]
    # Times are shown in whole ms: what lies within one of an event's edge is read with its neighbour's.
    assert here.offset_from(20 * RATE) == 100
    assert here.offset_to(9 * RATE) == 390


def test_a_stream_that_began_anew_is_another_one() -> None:
    before, now = Speaker("call-1", began_s=600), Speaker("call-1", began_s=60)
    entries = [entry(before, "segment", 4, 9, 100, 140), entry(now, "segment", 2, 3, 900, 910)]
    here = whereabouts(entries)["customer"]
    assert (here.start_ms, here.known, here.offset_to(RATE)) == (round(now.began.timestamp() * 1000), 3 * RATE, 910)


def test_events_without_sound_tell_nothing() -> None:
    event = Speaker("call-1").event("segment", 1, 2)
    record = SimpleNamespace(partition=0, offset=0, timestamp=0, value=event.model_dump_json().encode())
    found = entry_of(record)
    assert found
    assert whereabouts([found]) == {}

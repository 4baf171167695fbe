"""State records: what earlier versions have written is read, and what is damaged is refused."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.support.streams import customer, cut, lines
from undertone.inference import caller_memory
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.records import Ended, OpenRecord, read_record

RECORDS = Path(__file__).parent / "records"
# What wrote them and what it heard is kept beside them: a bundle and a caller that shipped then. Those of formats 1 and
# 2 are by the same weights, with neither class prior nor memory.
OLD_VERSION = "emotions-d8e17e521b"
# Before format 3 there was no memory of the caller.
MEMORY_BYTES = np.dtype(caller_memory.FIELDS).itemsize


@pytest.fixture(scope="module")
def kept_model() -> Model:
    return Model.load((RECORDS / "bundle.zip").read_bytes())


@pytest.fixture(scope="module")
def old_model(kept_model: Model) -> Model:
    model = kept_model
    calibration = model.card.calibration.model_copy(update={"prior": None, "training_prior": None})
    changes = {"version": OLD_VERSION, "calibration": calibration, "caller": None}
    return model.with_card(model.card.model_copy(update=changes))


def kept_call() -> list[AudioChunk]:
    """The call that the records were written in."""
    samples, rate = soundfile.read(RECORDS / "customer.flac", dtype="int16")
    return cut(samples, rate, 4000, partition=3)


def without_memory(events: Iterable[EventEnvelope]) -> list[str]:
    """Events without what is relative to the caller's earlier utterances."""
    data = [event.model_copy(update={"data": event.data.model_copy(update={"relative": None})}) for event in events]
    return lines(data)


def without_earlier_pitch(events: Iterable[EventEnvelope]) -> list[str]:
    """Events without what rests on the pitch of utterances before: older records took it otherwise."""
    found = []
    for event in events:
        of_pitch: dict[str, object] = {"pitch_hz": None} if event.data.type == "summary" else {}
        if event.data.relative:
            of_pitch["relative"] = event.data.relative.model_copy(update={"pitch": None})
        found.append(event.model_copy(update={"data": event.data.model_copy(update=of_pitch)}))
    return lines(found)


def test_a_call_goes_on_from_a_record_of_the_first_format(old_model: Model) -> None:
    """Written by 0.1.0 at 5.5 s of the call, within its first utterance, by the bundle that shipped then."""
    value = (RECORDS / "open-format-1.bin").read_bytes()
    chunks = kept_call()
    engine = Engine(old_model)
    engine.restore("call/customer", 3, value)
    events = engine.feed(chunks[11:]).events
    whole = Engine(old_model).feed(chunks).events
    later = without_earlier_pitch(event for event in events if event.data.start_sample > 60_000)
    assert len(later) > 15
    assert set(later) < set(without_earlier_pitch(whole))
    assert events[-1].data.start_sample == 0  # the summary's


def test_an_end_of_the_first_format_is_remembered(model: Model) -> None:
    engine = Engine(model)
    engine.restore("call/customer", 3, (RECORDS / "ended-format-1.bin").read_bytes())
    last = kept_call()[-1]
    assert engine.feed([last]).repeats == 1
    assert engine.event_time(3) == 50_000


def test_a_call_goes_on_from_a_record_of_the_second_format(old_model: Model) -> None:
    """Kept as bytes, so that no later version forgets how to read it: the same moment, and a stream that was idle."""
    chunks = kept_call()
    whole = without_memory(Engine(old_model).feed(chunks).events)
    for name, heard in (("open", 11), ("idle", 11)):
        engine = Engine(old_model)
        engine.restore("call/customer", 3, (RECORDS / f"{name}-format-2.bin").read_bytes())
        events = engine.feed(chunks[heard:]).events
        later = without_memory(event for event in events if event.data.start_sample > 60_000)
        assert len(later) > 15
        assert set(later) < set(whole)


@pytest.mark.parametrize(
    ("name", "comparable"),
    [
        ("open-format-3", without_earlier_pitch),
        ("open-format-3-three-points", without_earlier_pitch),
        ("open-format-3-pitch-at-4-khz", lines),
    ],
)
def test_a_call_goes_on_from_a_record_of_this_format(
    name: str, comparable: Callable[[Iterable[EventEnvelope]], list[str]], kept_model: Model
) -> None:
    """Kept as bytes likewise: at 16.5 s, when the memory of the caller rests on two utterances."""
    chunks = kept_call()
    value = (RECORDS / f"{name}.bin").read_bytes()
    record = read_record(value)
    assert isinstance(record, OpenRecord)
    assert (record.row["level_heard"], record.pack()) == (2, value)
    # The bundle has got another card since; the record says what was said before.
    model = kept_model.with_card(kept_model.card.model_copy(update={"version": record.version}))
    engine = Engine(model)
    engine.restore("call/customer", 3, value)
    later = comparable(engine.feed(chunks[33:]).events)
    assert len(later) > 10
    assert set(later) < set(comparable(Engine(model).feed(chunks).events))


def damaged_records(value: bytes, n: int) -> Iterator[bytes]:
    """Each with a bit flipped, a byte set, or a field's width of bytes replaced."""
    rng = np.random.default_rng(0)
    for number in range(n):
        damaged = bytearray(value)
        at = int(rng.integers(len(value)))
        if number % 3 == 0:
            damaged[at] ^= 1 << int(rng.integers(8))
        elif number % 3 == 1:
            damaged[at] = int(rng.integers(256))
        else:
            damaged[at : at + 8] = rng.bytes(min(8, len(value) - at))
        if damaged != value:
            yield bytes(damaged)


def saved_states(model: Model) -> list[bytes]:
    """Of a call: between utterances, in the middle of one, closed for being idle, and ended."""
    chunks, engine = cut(*customer(), 4000, partition=0), Engine(model, idle_seconds=1)
    saved: list[bytes] = []

    def save() -> None:
        saved.extend(record.value for record in engine.take_changes() if record.value)

    for first, last in ((0, 1), (1, 11)):
        engine.feed(chunks[first:last])
        save()
    engine.close_idle(0, 10**6)
    save()
    engine.feed(chunks[11:])
    save()
    return saved


def test_whatever_is_damaged_in_a_record_is_noticed(model: Model) -> None:
    """Most fields take any number: seven of a thousand damaged records were read, and had the engine raise later."""
    for value in saved_states(model):
        assert read_record(value).pack() == value
        for damaged in damaged_records(value, 1000):
            with pytest.raises(ValueError, match="state record"):
                read_record(damaged)


def without_later_parts(record: OpenRecord | Ended) -> bytes:
    """A record as the first format has it, after the format's number: no checksum, and no memory of the caller."""
    packed = record.pack()[3:-4]
    if isinstance(record, Ended):
        return packed
    row = packed.index(record.row.tobytes())
    end = row + record.row.itemsize
    return packed[: end - MEMORY_BYTES] + packed[end : -record.heard.nbytes]


def test_damaged_records_of_the_first_format_are_refused(model: Model) -> None:
    """By a ValueError, if anything: they have no checksum."""
    for path in sorted(RECORDS.glob("*-format-1.bin")):
        value = path.read_bytes()
        assert without_later_parts(read_record(value)) == value[3:]
        for damaged in damaged_records(value, 1000):
            try:
                read_record(damaged)
            except ValueError as error:
                assert "state record" in str(error)


def test_a_record_that_was_cut_off_is_refused(model: Model) -> None:
    for value in (*saved_states(model), *(path.read_bytes() for path in sorted(RECORDS.glob("*.bin")))):
        for cut_at in range(0, len(value), 7):
            with pytest.raises(ValueError, match="state record"):
                read_record(value[:cut_at])

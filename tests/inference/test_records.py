"""State records: what earlier versions have written is read, and what is damaged is refused."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.streams import customer, cut, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.records import read_record

RECORDS = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


def test_a_call_goes_on_from_a_record_of_the_first_format(model: Model) -> None:
    """Written by 0.1.0 at 5.5 s of the call, within its first utterance, by the bundle that shipped then."""
    value = (RECORDS / "open-format-1.bin").read_bytes()
    chunks = cut(*customer(), 4000, partition=3)
    engine = Engine(model)
    engine.restore("call/customer", 3, value)
    events = engine.feed(chunks[11:]).events
    whole = Engine(model).feed(chunks).events
    later = lines(event for event in events if event.data.start_sample > 60_000)
    assert len(later) > 15
    assert set(later) < set(lines(whole))
    assert events[-1].data.start_sample == 0  # the summary's


def test_an_end_of_the_first_format_is_remembered(model: Model) -> None:
    engine = Engine(model)
    engine.restore("call/customer", 3, (RECORDS / "ended-format-1.bin").read_bytes())
    last = cut(*customer(), 4000, partition=3)[-1]
    assert engine.feed([last]).repeats == 1
    assert engine.event_time(3) == 50_000


def test_damaged_records_are_refused(model: Model) -> None:
    """By a ValueError, whatever is wrong; what passes is a record that the engine can go on from."""
    engine, rng = Engine(model, idle_seconds=1), np.random.default_rng(0)
    engine.feed(cut(*customer(), 4000, partition=0)[:11])
    engine.close_idle(0, 10**6)
    (idle,) = engine.take_changes()
    assert idle.value is not None
    for value in (idle.value, *(path.read_bytes() for path in sorted(RECORDS.glob("*.bin")))):
        assert read_record(value).pack() == value
        for cut_at in range(0, len(value), 7):
            with pytest.raises(ValueError, match="state record"):
                read_record(value[:cut_at])
        for _ in range(200):
            damaged = bytearray(value)
            damaged[int(rng.integers(len(value)))] ^= 1 << int(rng.integers(8))
            try:
                read_record(bytes(damaged))
            except ValueError as error:
                assert "state record" in str(error)

"""Runs laid end to end: what each stream carries on is its own, however unequal the streams are."""

import itertools

import numpy as np
import pytest

from tests.support.streams import cut, lines, load
from undertone.acoustics.frames import block_samples
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.records import OpenRecord, lookback, read_record


@pytest.mark.parametrize(("name", "lengths"), [("phone.wav", (1, 1999, 2000, 6100)), ("calm.flac", (7, 4000, 9001))])
def test_a_stream_carries_its_own_sound_and_nothing_of_its_neighbours(name: str, lengths: tuple[int, ...]) -> None:
    samples, rate = load(name)
    engine = Engine(Model.load())
    engine.feed([cut(samples[:n], rate, n, call_id=f"of-{n}", end=False, partition=0)[0] for n in lengths])
    for record, length in zip(engine.take_changes(), sorted(lengths, key=str), strict=True):
        assert record.stream == f"of-{length}/customer" and record.value is not None
        kept = read_record(record.value)
        assert isinstance(kept, OpenRecord)
        held = length % block_samples(rate)
        heard = np.concatenate([np.zeros(lookback(rate), np.int16), samples[:length]])
        np.testing.assert_array_equal(kept.samples, heard[heard.size - held - lookback(rate) :])
        assert kept.row["held_offset"] == 10
    # Nor does anything lie in a row behind what it carries, though rows are as wide as the longest.
    table = engine._table
    for row in table.rows_of(0):
        assert not table.samples[row, table.carried(row).size :].any()


def test_rows_are_as_wide_as_what_is_carried_and_go_on_when_they_widen() -> None:
    """Chunks of whole blocks leave the lookback alone; a stream of other chunks widens the rows under all others."""
    samples, rate = load("phone.wav")
    model = Model.load()
    alone = lines(Engine(model).feed(cut(samples, rate, 4000)).events)
    engine = Engine(model)
    whole, odd = cut(samples, rate, 4000), cut(samples, rate, 3100, call_id="odd")
    events = engine.feed(whole[:2]).events
    narrow = engine._table.samples.shape[1]
    assert lookback(rate) <= narrow < lookback(rate) + 500
    for chunk, other in itertools.zip_longest(whole[2:], odd):
        events += engine.feed([one for one in (other, chunk) if one]).events
    assert engine._table.samples.shape[1] > narrow
    assert lines(event for event in events if event.subject == "call/customer") == alone

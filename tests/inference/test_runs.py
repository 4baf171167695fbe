"""Runs laid end to end: what each stream carries on is its own, however unequal the streams are."""

import numpy as np
import pytest

from tests.support.streams import cut, load
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

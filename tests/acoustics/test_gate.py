"""The energy gate: where speech starts and ends, and that no grouping of the hops shows."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.card import GateSpec
from tests.support.sounds import SAMPLES, noise
from undertone.acoustics.decode import load
from undertone.acoustics.gate import Gate, GateDecision, GateState
from undertone.acoustics.level import dbfs, sum_squares

HOP = 100


def energies_of(levels_dbfs: Sequence[float]) -> NDArray[np.int64]:
    """Energies of hops with these levels, int64 [1, F]."""
    power = 10 ** (np.array(levels_dbfs) / 10) * HOP * 32768.0**2
    return np.rint(power).astype(np.int64)[None]


def decide(levels_dbfs: Sequence[float], spec: GateSpec | None = None) -> GateDecision:
    gate = Gate(spec or GateSpec())
    return gate.step(energies_of(levels_dbfs), HOP, gate.initial_state(1))


def test_speech_at_the_very_start_opens_the_gate() -> None:
    assert decide([-30] * 40).raw.all()


def test_line_noise_stays_closed_and_speech_above_it_opens() -> None:
    decision = decide([-65] * 80 + [-30] * 40 + [-65] * 80)
    assert decision.raw[0].tolist() == [False] * 80 + [True] * 40 + [False] * 80


def test_the_hang_over_lasts_its_hops_and_no_longer() -> None:
    decision = decide([-30] + [-80] * 40, GateSpec(hangover_frames=20))
    assert decision.active[0].tolist() == [True] * 21 + [False] * 20
    assert decision.raw.sum() == 1


def test_steady_noise_is_speech_only_until_the_floor_has_risen() -> None:
    # From -70 at 3 dB/s the floor comes within 15 dB of -40 after 5 s.
    raw = decide([-40] * 800).raw[0]
    assert raw[:395].all()
    assert not raw[405:].any()


def test_the_floor_falls_at_once() -> None:
    raw = decide([-40] * 800 + [-70] + [-50] * 10).raw[0]
    assert raw[801:].all()


def test_digital_silence_does_not_make_line_noise_speech() -> None:
    assert not decide([-120] * 80 + [-62] * 80).raw.any()


def test_nothing_below_the_minimum_is_speech() -> None:
    assert not decide([-90] * 40 + [-61] * 40).raw.any()
    assert decide([-90] * 40 + [-59] * 20).raw[0, 40:].all()


@given(
    st.lists(st.integers(-120, 0), min_size=1, max_size=200),
    st.lists(st.integers(1, 60), max_size=20),
    st.floats(0, 100),
)
def test_any_grouping_of_hops_decides_the_same(levels: list[int], sizes: list[int], rise: float) -> None:
    gate, energies = Gate(GateSpec(floor_rise_db_per_s=rise)), energies_of([float(level) for level in levels])
    whole = gate.step(energies, HOP, gate.initial_state(1))
    places = np.cumsum(sizes, dtype=int)
    state, raw, active = gate.initial_state(1), [], []
    for part in np.split(energies, places[places < len(levels)], axis=1):
        decision = gate.step(part, HOP, state)
        state = decision.state
        raw.append(decision.raw)
        active.append(decision.active)
    assert np.array_equal(np.concatenate(raw, axis=1), whole.raw)
    assert np.array_equal(np.concatenate(active, axis=1), whole.active)
    assert np.array_equal(np.stack(state), np.stack(whole.state))


def test_streams_do_not_see_each_other() -> None:
    gate = Gate(GateSpec())
    energies = np.concatenate([energies_of([-65] * 30 + [-20] * 10), energies_of([-20] * 40)])
    both = gate.step(energies, HOP, gate.initial_state(2))
    for i in range(2):
        alone = gate.step(energies[i : i + 1], HOP, gate.initial_state(1))
        assert np.array_equal(alone.raw[0], both.raw[i])
        assert np.array_equal(np.stack(alone.state)[:, 0], np.stack(both.state)[:, i])


def test_a_step_leaves_the_state_it_was_given() -> None:
    gate = Gate(GateSpec())
    before = gate.initial_state(1)
    kept = GateState(before.floor.copy(), before.since_speech.copy())
    gate.step(energies_of([-80, -20]), HOP, before)
    assert np.array_equal(np.stack(before), np.stack(kept))


def test_a_day_of_hops_at_once_does_not_overflow() -> None:
    gate = Gate(GateSpec())
    hops = 24 * 3600 * 80
    decision = gate.step(np.full((1, hops), HOP * 2**20, np.int64), HOP, gate.initial_state(1))
    assert not decision.raw[0, -1]
    assert decision.state.since_speech[0] == 2**20


def test_a_call_speaks_by_turns() -> None:
    samples, rate = load(SAMPLES / "call.flac")
    gate, hop = Gate(GateSpec()), rate // 80
    energies = sum_squares(samples[: samples.shape[0] // hop * hop].T.reshape(2, -1, hop))
    agent, customer = gate.step(energies, hop, gate.initial_state(2)).active
    assert 0.3 < agent.mean() < 0.5
    assert 0.4 < customer.mean() < 0.65
    assert (agent & customer).mean() < 0.05


@pytest.mark.parametrize("cut", [1, 7, 50])
def test_energies_of_parts_add_up(cut: int) -> None:
    samples = noise(100)
    assert sum_squares(samples) == sum_squares(samples[:cut]) + sum_squares(samples[cut:])
    assert sum_squares(samples) == sum(int(sample) ** 2 for sample in samples)


def test_levels() -> None:
    assert dbfs(sum_squares(np.full(200, -32768, np.int16)), 200) == 0
    assert dbfs(sum_squares(np.full(200, 3277, np.int16)), 200) == pytest.approx(-20, abs=0.01)
    assert dbfs(0, 200) == dbfs(0, 0) == pytest.approx(-120)

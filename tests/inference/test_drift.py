"""Figures of what is heard, and how far two histograms lie from each other."""

import numpy as np
import pytest

from schemas.reference import Histogram, Reference
from tests.support.streams import customer, cut, hear
from undertone.inference.drift import LABELS, Running, band_names, histogram, psi
from undertone.inference.engine import Engine
from undertone.inference.model import Model


def test_psi_is_that_of_evidently() -> None:
    """Evidently 0.7.23 says so of columns with these counts: one with a class of its own, one without one."""
    assert psi(np.array([50, 30, 20, 0]), np.array([20, 30, 40, 10])) == pytest.approx(1.103601408044551, rel=1e-12)
    assert psi(np.array([50, 30, 20]), np.array([40, 60, 0])) == pytest.approx(1.749678910961867, rel=1e-12)


def test_psi_by_hand() -> None:
    # 0.3 ln 1.6 - 0.3 ln 0.4, of shares 0.5 and 0.5 against 0.8 and 0.2.
    assert psi(np.array([5, 5]), np.array([[8, 2], [5, 5]])) == pytest.approx([0.3 * np.log(4), 0])


def test_a_value_that_is_an_edge_lies_in_the_bin_above_it() -> None:
    assert histogram(np.array([0.0, 1.0, 1.5, 2.0, 9.0]), (1.0, 2.0)).tolist() == [1, 2, 2]
    assert histogram(np.array([0.0, 9.0]), (1.0, 2.0), np.array([3.0, 4.0])).tolist() == [3, 0, 4]


def test_what_is_measured_changes_no_event_and_no_state() -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 3, partition=0)
    silent, measuring = Engine(Model.load()), Engine(Model.load(), measure=True)
    assert hear(silent, chunks[:-1]) == hear(measuring, chunks[:-1])
    assert silent.take_changes() == measuring.take_changes()
    assert not silent.feed(chunks[-1:]).measured


def test_figures_are_those_of_the_events() -> None:
    samples, rate = customer()
    result = Engine(Model.load(), measure=True).feed(cut(samples, rate, rate // 2))
    said = [event.data for event in result.written if event.kind == "segment"]
    found = {
        name: np.concatenate([one.figures[name] for one in result.measured if name in one.figures])
        for name in (LABELS, "level", "pitch", "speech", "probability angry", *band_names())
    }
    assert found["level"] == pytest.approx([it["level_dbfs"] for it in said], abs=0.01)
    pitches = [it["pitch_hz"] for it in said if it["pitch_hz"]]
    assert np.exp(found["pitch"]) == pytest.approx(pitches, abs=0.1)
    assert len(found[LABELS]) == len(found["probability angry"]) == len(said)
    assert ((found["speech"] > 0.2) & (found["speech"] <= 1)).all()
    # A low band of a voice is louder than a high one, and each lies within what log-mel energies can be.
    assert found["band 1"].mean() > found["band 8"].mean()
    assert all((found[name] > np.log(1e-10) - 1e-3).all() and (found[name] < 20).all() for name in band_names())


def test_running_histograms_forget_and_stay_as_large_as_they_are() -> None:
    reference = Reference(
        utterances=10,
        speakers=2,
        held_out=True,
        figures={
            LABELS: Histogram(edges=(0.5,), shares=(0.5, 0.5), bound=0.1),
            "level": Histogram(edges=(-30.0, -20.0), shares=(0.2, 0.6, 0.2), bound=0.1),
        },
    )
    running = Running(reference)
    assert running.psi() == {}
    running.add([{LABELS: np.array([0, 1]), "pitch": np.array([5.0])}, {"level": np.array([-25.0])}])
    assert running.psi()[LABELS] == 0
    assert running.utterances == 2
    running.fade(0.5)
    running.add([{LABELS: np.array([1, 1, 1])}])
    assert running.utterances == 4
    assert running.psi()[LABELS] == pytest.approx(psi(np.array([1, 1]), np.array([0.5, 3.5])))


@pytest.mark.parametrize(
    "wrong",
    [
        {"edges": (1.0,), "shares": (1.0,)},
        {"edges": (2.0, 1.0), "shares": (0.2, 0.3, 0.5)},
        {"edges": (1.0,), "shares": (0.5, 0.6)},
    ],
    ids=["a share too few", "edges that fall", "shares of more than 1"],
)
def test_a_histogram_that_is_none(wrong: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(ValueError, match=r"shares|edges"):
        Histogram(**wrong, bound=0)

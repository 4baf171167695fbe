"""What a worker tells of drift: nothing until enough was heard, and of the model in use alone."""

import numpy as np
from prometheus_client import CollectorRegistry

from tests.support.streams import customer, cut
from undertone.inference.drift import LABELS, Measured
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from worker.drift_metrics import DriftMetrics

CARD = Model.load().card


class Told:
    """The metrics of a worker that tells from its second utterance on."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = DriftMetrics(self.registry, fewest=2)
        self.metrics.follow(CARD)

    def psi(self, figure: str) -> float | None:
        self.metrics.tell()
        return self.registry.get_sample_value("undertone_drift_psi", {"figure": figure})

    def hear(self, *labels: int, version: str = CARD.version) -> None:
        self.metrics.count([Measured(version, {LABELS: np.array(labels)})])


def test_nothing_is_told_until_enough_was_heard() -> None:
    told = Told()
    told.hear(0)
    assert told.psi(LABELS) is None
    told.hear(0)
    assert (told.psi(LABELS) or 0) > 0.25, "all are angry"
    assert told.psi("level") is None, "nothing of it was heard"


def test_bounds_are_those_of_the_card() -> None:
    assert CARD.reference
    value = Told().registry.get_sample_value
    for name, one in CARD.reference.figures.items():
        assert value("undertone_drift_bound", {"figure": name.replace(" ", "_")}) == one.bound


def test_what_another_model_has_heard_does_not_count() -> None:
    told = Told()
    told.hear(0, 0, version="another")
    assert told.psi(LABELS) is None


def test_another_model_begins_anew_and_one_without_a_reference_tells_nothing() -> None:
    told = Told()
    told.hear(0, 0)
    assert told.psi(LABELS)
    told.metrics.follow(CARD.model_copy(update={"version": "bare", "reference": None}))
    told.hear(0, 0, version="bare")
    assert told.psi(LABELS) is None
    assert told.registry.get_sample_value("undertone_drift_bound", {"figure": LABELS}) is None
    told.metrics.follow(CARD)
    assert told.psi(LABELS) is None


def test_a_call_is_told_in_every_figure() -> None:
    samples, rate = customer()
    told = Told()
    told.metrics.count(Engine(Model.load(), measure=True).feed(cut(samples, rate, rate // 2)).measured)
    assert CARD.reference
    for name in CARD.reference.figures:
        assert told.psi(name.replace(" ", "_")) is not None, name

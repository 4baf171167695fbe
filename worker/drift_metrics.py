"""What the worker's metrics say of drift: how far what is heard now lies from the reference in the model's card."""

import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from schemas.card import ModelCard
from undertone.inference.drift import Measured, Running

# A morning of calls against the evening before would be news each day.
_HALF_LIFE_S = 6 * 3600.0


class DriftMetrics:
    """A part of `WorkerMetrics`, in its registry. It follows the model that new utterances take."""

    def __init__(self, registry: CollectorRegistry, fewest: int = 500) -> None:
        """`fewest` utterances must have been heard before anything is told: chance alone gives 500 of them 0.02."""
        self.psi = Gauge(
            "undertone_drift_psi",
            "Population stability index of what is heard against the model's own data.",
            ["figure"],
            registry=registry,
        )
        self.bound = Gauge(
            "undertone_drift_bound",
            "What this index hardly exceeds by chance, by the model's card.",
            ["figure"],
            registry=registry,
        )
        self.utterances = Gauge(
            "undertone_drift_utterances", "Utterances that the index rests on, older ones less.", registry=registry
        )
        self._fewest = fewest
        self._version, self._faded = "", 0.0
        self._running: Running | None = None

    def follow(self, card: ModelCard) -> None:
        """Hold what comes against this model's data from now on."""
        if card.version == self._version:
            return
        self._version, self._faded = card.version, time.monotonic()
        self._running = Running(card.reference) if card.reference else None
        self.psi.clear()
        self.bound.clear()
        self.utterances.set(0)
        for name, one in (card.reference.figures if card.reference else {}).items():
            self.bound.labels(_label(name)).set(one.bound)

    def count(self, measured: Sequence[Measured]) -> None:
        """Count what a batch that has been committed was like."""
        if self._running:
            self._running.add(one.figures for one in measured if one.version == self._version)

    def tell(self) -> None:
        """Let what is old count less, and tell the indices once enough was heard."""
        if not self._running:
            return
        now = time.monotonic()
        self._running.fade(0.5 ** ((now - self._faded) / _HALF_LIFE_S))
        self._faded = now
        self.utterances.set(self._running.utterances)
        if round(self._running.utterances) < self._fewest:
            self.psi.clear()
            return
        for name, value in self._running.psi().items():
            self.psi.labels(_label(name)).set(value)


def _label(figure: str) -> str:
    return figure.replace(" ", "_")

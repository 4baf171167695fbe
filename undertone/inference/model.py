"""A model in use: the card and what is built from it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard
from schemas.events import UNCERTAIN
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.gate import Gate
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.runtime import Runtime


class Model:
    """Front end, gate, network and calibration of one bundle."""

    def __init__(self, card: ModelCard, runtime: Runtime) -> None:
        self.card = card
        self.runtime = runtime
        self.front_end = FrontEnd(card.front_end)
        self.gate = Gate(card.gate)

    @classmethod
    def load(cls, source: Path | bytes | None = None) -> "Model":
        """Load a bundle; the one that ships where `source` is None.

        Raises:
            UserError: as `read_bundle` and `Runtime` say.
        """
        bundle = read_bundle(DEFAULT_BUNDLE if source is None else source)
        return cls(bundle.card, Runtime(bundle))

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probabilities [n, labels] of logits [n, labels]: softmax(logits / temperature)."""
        return softmax(logits.astype(np.float64) / self.card.calibration.temperature)

    def label(self, probabilities: NDArray[np.float64]) -> str:
        """The most probable label, or `uncertain` where it is less probable than the card asks."""
        best = int(probabilities.argmax())
        if probabilities[best] < self.card.calibration.uncertain_below:
            return UNCERTAIN
        return self.card.labels[best]


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)

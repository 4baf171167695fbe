"""A model in use: the card and what is built from it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard
from schemas.events import UNCERTAIN
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.gate import Gate
from undertone.inference.bundle import DEFAULT_BUNDLE, Bundle, filter_bank, read_bundle
from undertone.inference.runtime import Runtime


class Model:
    """Front end, gate, network and calibration of one bundle."""

    def __init__(self, card: ModelCard, runtime: Runtime, filters: NDArray[np.float32] | None = None) -> None:
        """`filters` is the bundle's filter bank; without one librosa makes it."""
        self.card = card
        self.runtime = runtime
        self.front_end = FrontEnd(card.front_end, filters)
        self.gate = Gate(card.gate)
        self._filters = filters

    @classmethod
    def load(cls, source: Path | bytes | None = None) -> "Model":
        """Load a bundle; the one that ships where `source` is None.

        Raises:
            UserError: as `read_bundle` and `Runtime` say.
        """
        return cls.of(read_bundle(DEFAULT_BUNDLE if source is None else source))

    @classmethod
    def of(cls, bundle: Bundle) -> "Model":
        """The model of a bundle that was read.

        Raises:
            UserError: as `Runtime` says; the bundle carries no filter bank and librosa is not installed.
        """
        return cls(bundle.card, Runtime(bundle), filter_bank(bundle))

    def with_card(self, card: ModelCard) -> "Model":
        """The same network and filters under another card."""
        return Model(card, self.runtime, self._filters)

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

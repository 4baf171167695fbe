"""A model in use: the card and what is built from it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard
from schemas.events import UNCERTAIN
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.gate import Gate
from undertone.inference.affect import Affect
from undertone.inference.bundle import DEFAULT_BUNDLE, Bundle, filter_bank, read_bundle
from undertone.inference.caller_normal import CallerNormal
from undertone.inference.class_prior import CARD, log_ratio, parse_prior, shares_of
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
        self.affect = Affect(card)
        self.caller_normal = CallerNormal(card)
        self._log_ratio = log_ratio(card.labels, card.calibration)

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

    def with_prior(self, prior: str | Mapping[str, float]) -> "Model":
        """The same network where labels are as often as `prior` says.

        Args:
            prior: `card`, `training`, `uniform`, or shares, as `neutral=0.6,calm=0.2` or by label; labels that are not
                named divide what is left.

        Raises:
            UserError: `prior` is none of these, or names a label that the model does not know.
        """
        parsed = parse_prior(prior) if isinstance(prior, str) else prior
        shares = shares_of(parsed, self.card.labels, self.card.calibration)
        calibration = self.card.calibration.model_copy(update={"prior": shares})
        return self.with_card(self.card.model_copy(update={"calibration": calibration}))

    @property
    def class_prior(self) -> dict[str, float]:
        """The share of each label that the probabilities expect."""
        return shares_of(CARD, self.card.labels, self.card.calibration)

    def probabilities(
        self, logits: NDArray[np.floating], offset: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Calibrated probabilities [n, labels] of logits [n, labels], as the card's `CalibrationSpec` says.

        Args:
            offset: [n, labels], what the caller's memory takes from the logits.
        """
        scaled = logits.astype(np.float64) / self.card.calibration.temperature
        return softmax((scaled if offset is None else scaled - offset) + self._log_ratio)

    def alone(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probabilities as the training data has them: before the caller's memory and the class prior."""
        return softmax(logits.astype(np.float64) / self.card.calibration.temperature)

    def label(self, probabilities: Mapping[str, float]) -> str:
        """The most probable label, or `uncertain` where it is less probable than the card asks."""
        return self._sure(probabilities)

    def group(self, groups: Mapping[str, float]) -> str | None:
        """The most probable group, or `uncertain` by the same threshold; None where the model has no groups."""
        return self._sure(groups) if groups else None

    def _sure(self, probabilities: Mapping[str, float]) -> str:
        best = max(probabilities, key=probabilities.__getitem__)
        return UNCERTAIN if probabilities[best] < self.card.calibration.uncertain_below else best


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)

"""A model in use: the card and what is built from it."""

from collections.abc import Mapping, Sequence
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

    def label(self, probabilities: NDArray[np.float64]) -> list[str]:
        """The most probable label by probabilities [n, labels], or `uncertain` where it is below what the card asks."""
        return self._sure(probabilities, self.card.labels)

    def group(self, shares: NDArray[np.float64]) -> list[str] | list[None]:
        """The most probable group by shares [n, groups], likewise; None where the model has no groups."""
        return self._sure(shares, self.affect.names) if self.affect.names else [None] * len(shares)

    def _sure(self, shares: NDArray[np.float64], names: Sequence[str]) -> list[str]:
        best, sure = shares.argmax(axis=1), shares.max(axis=1) >= self.card.calibration.uncertain_below
        return [names[k] if known else UNCERTAIN for k, known in zip(best.tolist(), sure.tolist(), strict=True)]


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)

"""What a caller's voice has given evidence of so far, and what that takes from the evidence of his next utterance.

A network that has never met a speaker, his microphone or his language errs in the same way about all that he says:
one agent sounded happy to it through a whole call. What it makes of him on the mean is therefore no news, and only
what departs from that is.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.card import STEPS_PER_SECOND, CallerSpec, ModelCard
from undertone.inference.class_prior import TRAINING, shares_of

# Beyond two minutes of speech what is older fades: people and lines change in the course of an hour.
MOST_STEPS = 120 * STEPS_PER_SECOND
# Surer than this of what it is not, a network says more about itself than about the voice.
_SMALLEST = 1e-3

Floats = NDArray[np.float64]


class CallerNormal:
    """The rule of one card. Of each stream the caller keeps a sum of evidence [labels] and the steps it rests on."""

    def __init__(self, card: ModelCard) -> None:
        self._spec: CallerSpec | None = card.caller
        self._prior = np.log(list(_in_order(shares_of(TRAINING, card.labels, card.calibration), card)))
        normal = np.array(list(_in_order(card.caller.normal, card))) if card.caller else np.zeros(len(card.labels))
        self._normal = normal - normal.mean()

    def add(self, heard: Floats, steps: int, probabilities: Floats, more: int) -> int:
        """Count an utterance of `more` steps into the sum `heard`, in place; returns the steps it rests on then.

        Args:
            probabilities: [labels], of the utterance alone, before memory and class prior.
        """
        evidence = np.log(np.maximum(probabilities, _SMALLEST)) - self._prior
        heard += more * (evidence - evidence.mean())
        if steps + more <= MOST_STEPS:
            return steps + more
        heard *= MOST_STEPS / (steps + more)
        return MOST_STEPS

    def offset(self, heard: Floats, steps: int) -> Floats | None:
        """What to take from the logits [labels]; None where nothing was heard, or the card asks for nothing."""
        if self._spec is None or not steps:
            return None
        share = self._spec.weight * steps / (steps + self._spec.half_s * STEPS_PER_SECOND)
        return np.asarray(share * (heard / steps - self._normal))


def _in_order(by_label: dict[str, float], card: ModelCard) -> list[float]:
    return [by_label[label] for label in card.labels]

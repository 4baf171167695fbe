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

    def add(
        self, heard: Floats, steps: NDArray[np.integer], probabilities: Floats, more: NDArray[np.integer]
    ) -> NDArray[np.integer]:
        """Count utterances of `more` steps [n] into the sums `heard` [n, labels], in place.

        Args:
            steps: [n], that the sums rest on.
            probabilities: [n, labels], of each utterance alone, before memory and class prior.

        Returns:
            The steps that the sums rest on now, [n].
        """
        evidence = np.log(np.maximum(probabilities, _SMALLEST)) - self._prior
        heard += more[:, None] * (evidence - evidence.mean(axis=1, keepdims=True))
        whole = steps + more
        full = whole > MOST_STEPS
        heard[full] *= (MOST_STEPS / whole[full])[:, None]
        return np.minimum(whole, MOST_STEPS)

    def offsets(self, heard: Floats, steps: NDArray[np.integer]) -> Floats | None:
        """What to take from the logits, [n, labels]: 0 where nothing was heard; None where the card asks for nothing.

        Args:
            heard: [n, labels] sums of evidence; `steps` [n], what they rest on.
        """
        if self._spec is None:
            return None
        share = self._spec.weight * steps / (steps + self._spec.half_s * STEPS_PER_SECOND)
        return share[:, None] * (heard / np.maximum(steps, 1)[:, None] - self._normal)


def _in_order(by_label: dict[str, float], card: ModelCard) -> list[float]:
    return [by_label[label] for label in card.labels]

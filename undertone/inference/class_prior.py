"""The class prior: how often each label is expected where the model works, and what that changes.

A network learns how often each label was in its training data along with how it sounds. Where labels are as often as
something else, its logits are moved by the logarithm of the ratio (Saerens, Latinne and Decaestecker 2002): an eighth
of a corpus is angry, of the utterances of ordinary calls less than one in a hundred.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec
from schemas.errors import UserError

# What the card says; what the training data had; every label as often as any other.
CARD, TRAINING, UNIFORM = "card", "training", "uniform"
# What is left for a label when the others take it all: never nothing, for nothing can be heard against a 0.
_LEAST = 1e-4


def parse_prior(text: str) -> str | dict[str, float]:
    """`card`, `training`, `uniform`, or shares as in `neutral=0.6,calm=0.2`.

    Raises:
        UserError: none of these, a share that is no number between 0 and 1, or shares of more than 1 in all.
    """
    if text in (CARD, TRAINING, UNIFORM):
        return text
    shares: dict[str, float] = {}
    for part in text.split(","):
        label, _, number = (piece.strip() for piece in part.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if not label or label in shares or not 0 < share <= 1:
            raise UserError(
                f"class prior {text[:80]!r}: want {CARD}, {TRAINING}, {UNIFORM}, or shares between 0 and 1 as in "
                "neutral=0.6,calm=0.2, each label once"
            )
        shares[label] = share
    if sum(shares.values()) > 1 + 1e-6:
        raise UserError(f"class prior {text[:80]!r}: the shares add up to {sum(shares.values()):g}, more than 1")
    return shares


def shares_of(
    prior: str | Mapping[str, float], labels: Sequence[str], calibration: CalibrationSpec
) -> dict[str, float]:
    """The share of each of a model's labels; they add up to 1.

    Labels that `prior` does not name divide what is left as the card's prior has it, else as the training data.

    Raises:
        UserError: `prior` names a label that the model does not know.
    """
    training = calibration.training_prior or dict.fromkeys(labels, 1 / len(labels))
    known = calibration.prior or training
    if isinstance(prior, str):
        return {CARD: known, TRAINING: training, UNIFORM: dict.fromkeys(labels, 1 / len(labels))}[prior]
    if unknown := sorted(prior.keys() - set(labels)):
        raise UserError(f"class prior: the model knows no {', '.join(unknown)}; it knows {', '.join(labels)}")
    rest = [label for label in labels if label not in prior]
    left, whole = max(1 - sum(prior.values()), 0), sum(known[label] for label in rest)
    shares = dict(prior) | {label: left * known[label] / whole for label in rest}
    raised = {label: max(shares[label], _LEAST) for label in labels}
    return {label: share / sum(raised.values()) for label, share in raised.items()}


def log_ratio(labels: Sequence[str], calibration: CalibrationSpec) -> NDArray[np.float64]:
    """What is added to the logits [labels]: log of the card's prior over the training data's, 0 without a prior."""
    expected = shares_of(CARD, labels, calibration)
    training = shares_of(TRAINING, labels, calibration)
    return np.log([expected[label] / training[label] for label in labels])


def moved_prior(
    probabilities: Mapping[str, float], before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, float]:
    """Probabilities by label that rest on the shares `before`, as they are where the shares are those `after`."""
    weights = {label: value * after[label] / before[label] for label, value in probabilities.items()}
    whole = sum(weights.values())
    return {label: weight / whole for label, weight in weights.items()}

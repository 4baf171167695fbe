"""Calibration on validation speakers: the softmax temperature, and below which probability a label is `uncertain`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec
from undertone.analysis.metrics import ece
from undertone.inference.model import softmax

# Outside of this no temperature helps: the validation speakers are too few or the network has learnt nothing.
_TEMPERATURES = np.geomspace(0.25, 8.0, 141)
# One prediction in ten, the least sure, is called uncertain.
_UNCERTAIN_SHARE = 0.1
# But none that is surer than this: on easy data the least sure tenth lay above 0.9995, which rounds to 1, and all that
# the model said was uncertain.
_HIGHEST_THRESHOLD = 0.9
# Fewer clips say more about themselves than about the next speaker.
MIN_CLIPS = 16


def calibrate(log_probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> CalibrationSpec:
    """The temperature of least negative log-likelihood (Guo et al. 2017, section 4.2) and the `uncertain` threshold.

    Args:
        log_probabilities: [n, C] of whole files at temperature 1. A stream's prediction is a mean of its segments'
            log-probabilities, which a temperature divides just as it divides one segment's logits.
        truth: class numbers [n].

    Returns:
        The card's defaults where there are fewer than 16 files.
    """
    if len(truth) < MIN_CLIPS:
        return CalibrationSpec(uncertain_below=min(0.4, 1.2 / log_probabilities.shape[1]))
    rows = np.arange(len(truth))
    losses = [-np.log(softmax(log_probabilities / t)[rows, truth] + 1e-12).mean() for t in _TEMPERATURES]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    confidence = softmax(log_probabilities.astype(np.float64) / temperature).max(axis=1)
    return CalibrationSpec(
        temperature=round(temperature, 4),
        uncertain_below=round(min(_HIGHEST_THRESHOLD, float(np.quantile(confidence, _UNCERTAIN_SHARE))), 3),
    )


def cross_fitted_ece(
    log_probabilities: NDArray[np.floating], truth: NDArray[np.integer], parts: Sequence[NDArray[np.integer]]
) -> float:
    """ECE where the rows of each part have the temperature of all others; arguments as for `calibrate`."""
    calibrated = np.zeros_like(log_probabilities)
    for part in parts:
        rest = np.setdiff1d(np.arange(len(truth)), part)
        temperature = calibrate(log_probabilities[rest], truth[rest]).temperature
        calibrated[part] = softmax(log_probabilities[part] / temperature)
    return float(ece(truth, calibrated))

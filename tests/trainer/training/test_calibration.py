"""The `uncertain` threshold of a card."""

import numpy as np

from trainer.training.calibration import calibrate


def test_one_prediction_in_ten_is_uncertain() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    logs = rng.normal(0, 1, (200, 3)) + 1.5 * np.eye(3)[truth]
    spec = calibrate(logs - np.log(np.exp(logs).sum(axis=1, keepdims=True)), truth)
    sure = np.exp(logs / spec.temperature)
    share = np.mean((sure / sure.sum(axis=1, keepdims=True)).max(axis=1) < spec.uncertain_below)
    assert abs(share - 0.1) < 0.02


def test_a_network_that_is_sure_of_everything_is_not_uncertain_of_it() -> None:
    truth = np.arange(60) % 3
    logs = np.log(np.full((60, 3), 1e-6) + np.eye(3)[truth])
    assert calibrate(logs, truth).uncertain_below < 0.95

"""The metrics against scikit-learn, and against small cases that can be counted by hand."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from undertone.analysis.metrics import accuracy, calibration_bins, class_scores, confusion_matrix, ece, macro_f1, uar

answers = st.integers(2, 9).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=200),
    )
)


@given(answers)
def test_equals_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    truth, predicted = zip(*pairs, strict=True)
    matrix = confusion_matrix(truth, predicted, classes)
    labels = range(classes)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(truth, predicted, labels=labels))
    assert accuracy(matrix) == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted))
    # scikit-learn's balanced accuracy warns of predictions outside the truth; recall over true classes is the same.
    present = sorted(set(truth))
    assert uar(matrix) == pytest.approx(
        sklearn.metrics.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
    )
    assert macro_f1(matrix) == pytest.approx(
        sklearn.metrics.f1_score(truth, predicted, average="macro", zero_division=0)
    )
    scores = class_scores(matrix)
    expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for ours, theirs in zip((scores.precision, scores.recall, scores.f1, scores.support), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_ece_by_hand() -> None:
    # Two answers at 0.9, one of them right, and two at 0.6, both right: (2 * |0.9 - 0.5| + 2 * |0.6 - 1|) / 4.
    probabilities = [[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]]
    assert ece([0, 1, 1, 1], probabilities) == pytest.approx(0.4)


def test_a_sure_and_right_classifier_is_calibrated() -> None:
    assert ece([0, 1, 2], np.eye(3)) == 0.0


def test_ece_of_answers_drawn_from_their_probabilities_is_small() -> None:
    generator = np.random.default_rng(5)
    probabilities = generator.dirichlet(np.full(8, 0.5), 100_000)
    truth = (generator.random(100_000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=7)
    assert ece(truth, probabilities) < 0.01


def test_bins_hold_every_answer_once() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 500)
    probabilities[0] = [1, 0, 0]
    bins = calibration_bins(np.zeros(500, int), probabilities)
    assert bins.count.sum() == 500
    assert bins.count[-1] >= 1


def test_nothing_heard_is_no_number() -> None:
    empty = confusion_matrix([], [], 3)
    assert np.isnan([accuracy(empty), uar(empty), macro_f1(empty), ece([], np.empty((0, 3)))]).all()


@pytest.mark.parametrize(("truth", "predicted"), [([0, 3], [0, 0]), ([0], [-1]), ([0, 1], [0])])
def test_impossible_classes_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"class"):
        confusion_matrix(truth, predicted, 3)

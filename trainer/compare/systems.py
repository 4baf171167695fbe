"""The classifiers of scikit-learn that people use on clip-level features, each with the settings that are searched.

Every one is a pipeline: standardisation fitted on the training clips, then the classifier, with clips weighted so that
each class counts the same (UAR is the figure, and corpora are rarely balanced).
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight

from trainer.compare.measures import mean_recall

Config = dict[str, Any]
Rows = NDArray[np.intp]
Labels = NDArray[np.int64]


class Model(Protocol):
    """What training leaves."""

    @property
    def parameters(self) -> int:
        """Numbers that prediction needs."""

    def predict(self, inputs: Any, rows: Rows) -> Labels:
        """Class numbers of the clips at `rows` of `inputs` (the corpus, or its first seconds)."""


@runtime_checkable
class Remembering(Model, Protocol):
    """A model that judges a clip against what its speaker said before."""

    def predict_in_calls(self, inputs: Any, calls: Sequence[Rows]) -> Labels:
        """Class number of the last clip of each call, whose clips are heard one after the other."""


class System(Protocol):
    """A way to train. `inputs` hold the whole corpus in the form that `takes` names; `rows` say which clips to use."""

    @property
    def name(self) -> str:
        """As on the command line and in compare.json."""

    @property
    def family(self) -> str:
        """Kind of model, for the plots."""

    @property
    def takes(self) -> str:
        """`vectors` (clip level), `sequences` (steps) or `clips` (the front end's frames)."""

    @property
    def seeded(self) -> bool:
        """Whether another seed gives another model."""

    @property
    def space(self) -> Mapping[str, BaseDistribution]:
        """Settings to search; empty: there is nothing to search."""

    @property
    def defaults(self) -> Config:
        """Settings of the first trial, and where nothing can be searched."""

    def fit(self, inputs: Any, rows: Rows, y: Labels, config: Config, seed: int) -> Model:
        """Train on these clips alone. `y` are the classes of the whole corpus."""

    def try_out(
        self, inputs: Any, train: Rows, valid: Rows, y: Labels, config: Config, seed: int
    ) -> tuple[float, Config]:
        """UAR on `valid` of a model trained on `train`, and what this taught (the epoch to stop at)."""


@dataclass(frozen=True, slots=True)
class FittedPipeline:
    """A trained scikit-learn pipeline; `parameters` counts the numbers that prediction needs."""

    pipeline: Pipeline
    parameters: int

    def predict(self, inputs: NDArray[np.float32], rows: Rows) -> Labels:
        """Class numbers [len(rows)] from vectors [n, d]."""
        return np.asarray(self.pipeline.predict(inputs[rows]), np.int64)


@dataclass(frozen=True, slots=True)
class Classic:
    """One scikit-learn classifier. `build(config, seed)` makes it, unfitted."""

    name: str
    family: str
    seeded: bool
    build: Callable[[Config, int], BaseEstimator]
    space: Mapping[str, BaseDistribution]
    defaults: Config
    takes: ClassVar[str] = "vectors"

    def fit(self, inputs: NDArray[np.float32], rows: Rows, y: Labels, config: Config, seed: int) -> FittedPipeline:
        """Train on vectors [n, d] at `rows`."""
        pipeline = Pipeline([("scale", StandardScaler()), ("classify", self.build(config, seed))])
        with warnings.catch_warnings():
            # The number of iterations is one of the settings that are searched, so stopping early is meant.
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline.fit(inputs[rows], y[rows], classify__sample_weight=compute_sample_weight("balanced", y[rows]))
        return FittedPipeline(pipeline, _numbers(pipeline["classify"]) + 2 * inputs.shape[1])

    def try_out(
        self, inputs: NDArray[np.float32], train: Rows, valid: Rows, y: Labels, config: Config, seed: int
    ) -> tuple[float, Config]:
        """UAR on `valid`; nothing else is learned from it."""
        return mean_recall(y[valid], self.fit(inputs, train, y, config, seed).predict(inputs, valid)), {}


def _numbers(fitted: Any) -> int:
    """Numbers that a fitted classifier predicts with: weights, support vectors, or four for each node of a tree."""
    if isinstance(fitted, RandomForestClassifier):
        return sum(_numbers(tree) for tree in fitted.estimators_)
    if isinstance(fitted, DecisionTreeClassifier):
        return 4 * int(fitted.tree_.node_count)
    if isinstance(fitted, MLPClassifier):
        return sum(part.size for part in (*fitted.coefs_, *fitted.intercepts_))
    if isinstance(fitted, GaussianNB):
        return int(fitted.theta_.size + fitted.var_.size)
    if isinstance(fitted, SVC) and fitted.kernel == "rbf":
        return int(fitted.support_vectors_.size + fitted.dual_coef_.size)
    return int(fitted.coef_.size + np.size(fitted.intercept_))


def _log(low: float, high: float) -> FloatDistribution:
    return FloatDistribution(low, high, log=True)


def _mlp(solver: str) -> Callable[[Config, int], BaseEstimator]:
    def build(config: Config, seed: int) -> BaseEstimator:
        own = dict(config)
        layers = (own.pop("width"),) * own.pop("layers")
        return MLPClassifier(layers, solver=solver, random_state=seed, **own)

    return build


_MLP_SPACE: dict[str, BaseDistribution] = {
    "width": CategoricalDistribution((32, 64, 128)),
    "layers": IntDistribution(1, 2),
    "alpha": _log(1e-4, 10),
}
_MLP_DEFAULTS: Config = {"width": 128, "layers": 1, "alpha": 1e-2}
# Epochs are a setting like any other: scikit-learn's own early stopping would validate on speakers that also train.
_SGD_SPACE = {**_MLP_SPACE, "learning_rate_init": _log(3e-4, 3e-2), "max_iter": IntDistribution(20, 100)}

CLASSIC: tuple[Classic, ...] = (
    Classic(
        "decision-tree",
        "trees",
        True,
        lambda config, seed: DecisionTreeClassifier(random_state=seed, **config),
        {"max_depth": IntDistribution(2, 20), "min_samples_leaf": IntDistribution(1, 30)},
        {"max_depth": 10, "min_samples_leaf": 5},
    ),
    Classic(
        "random-forest",
        "trees",
        True,
        lambda config, seed: RandomForestClassifier(100, random_state=seed, **config),
        # A fifth of 315 features at each node took 7 s a forest instead of 1, and found 0.01 more at best.
        {"max_features": CategoricalDistribution(("sqrt", "log2")), "min_samples_leaf": IntDistribution(1, 8)},
        {"max_features": "sqrt", "min_samples_leaf": 1},
    ),
    Classic(
        "svm-linear",
        "kernels",
        False,
        lambda config, seed: SVC(kernel="linear", **config),
        {"C": _log(1e-4, 10)},
        {"C": 0.01},
    ),
    Classic(
        "svm-rbf",
        "kernels",
        False,
        lambda config, seed: SVC(kernel="rbf", **config),
        {"C": _log(0.1, 100), "gamma": _log(1e-5, 0.1)},
        {"C": 3.0, "gamma": 1e-3},
    ),
    Classic(
        "logistic-regression",
        "linear",
        False,
        # saga is the one solver for both penalties; 150 passes change no figure by more than the folds' spread.
        lambda config, seed: LogisticRegression(
            C=config["C"],
            l1_ratio=1.0 if config["penalty"] == "l1" else 0.0,
            solver="saga" if config["penalty"] == "l1" else "lbfgs",
            max_iter=150,
            random_state=0,
        ),
        {"C": _log(1e-3, 10), "penalty": CategoricalDistribution(("l1", "l2"))},
        {"C": 0.1, "penalty": "l2"},
    ),
    Classic(
        "ridge-regression",
        "linear",
        False,
        lambda config, seed: RidgeClassifier(**config),
        {"alpha": _log(1, 1e4)},
        {"alpha": 100.0},
    ),
    Classic(
        "naive-bayes",
        "Bayes",
        False,
        lambda config, seed: GaussianNB(**config),
        {"var_smoothing": _log(1e-9, 1)},
        {"var_smoothing": 1e-2},
    ),
    Classic(
        "mlp-lbfgs",
        "MLP",
        True,
        _mlp("lbfgs"),
        {**_MLP_SPACE, "max_iter": IntDistribution(20, 100)},
        {**_MLP_DEFAULTS, "max_iter": 60},
    ),
    Classic(
        "mlp-sgd",
        "MLP",
        True,
        _mlp("sgd"),
        {**_SGD_SPACE, "momentum": FloatDistribution(0.5, 0.95)},
        {**_MLP_DEFAULTS, "learning_rate_init": 1e-2, "max_iter": 50, "momentum": 0.9},
    ),
    Classic(
        "mlp-adam",
        "MLP",
        True,
        _mlp("adam"),
        _SGD_SPACE,
        {**_MLP_DEFAULTS, "learning_rate_init": 1e-3, "max_iter": 50},
    ),
)

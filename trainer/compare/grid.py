"""Which cells there are: the full grid, the quick one, and what a person picks out of either."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from schemas.errors import UserError
from trainer.compare.bench import SplitName
from trainer.compare.cells import Cell, Protocol
from trainer.compare.features import EGEMAPS, NETWORK_INPUT, TOGETHER, set_names
from trainer.compare.systems import CLASSIC, System
from trainer.quiet import quiet

SPLITS: tuple[SplitName, ...] = ("speakers", "random")
NETWORK_NAMES = ("cnn-1d", "cnn-2d", "lstm", "gru")
DEFAULT_NETWORK = "undertone"
NETWORK_FEATURES = ("mfcc", "mel", TOGETHER)

FULL = Protocol(trials=20, network_trials=10, inner_folds=3, repeats=3, random_splits=2)
QUICK = Protocol(trials=3, network_trials=1, inner_folds=2, repeats=1, random_splits=1)
QUICK_SYSTEMS = ("decision-tree", "random-forest", "svm-rbf", "logistic-regression", "mlp-adam", "cnn-1d", "gru")
QUICK_FEATURES = ("mfcc", "mel", "pitch", TOGETHER)
QUICK_EPOCHS = 10  # of the shipped network, whose recipe has more
QUICK_NETWORK_EPOCHS = 20  # of the others, at most
SLOW = ("random-forest", "mlp-lbfgs", "mlp-sgd", "mlp-adam")  # ten times what the other clip-level systems take


@dataclass(frozen=True, slots=True)
class Grid:
    """Systems, sets of features, and how each cell is run."""

    systems: tuple[str, ...]
    features: tuple[str, ...]
    protocol: Protocol
    quick: bool

    def cells(self, corpus: str) -> list[Cell]:
        """Cells of one corpus, the ones that tell most first: an interrupted run then has a page to show."""
        found = [
            Cell(corpus=corpus, system=name, features=features, split=split)
            for name in self.systems
            for features in self._features_of(name)
            for split in SPLITS
        ]
        return sorted(found, key=self._rank)

    def system(self, name: str) -> System:
        """The system of this name, as this grid trains it."""
        for classic in CLASSIC:
            if classic.name == name:
                return classic
        # TensorFlow takes seconds and 600 MB to load: a process that fits classifiers alone does without.
        with quiet():
            from trainer.compare.default_network import DefaultNetwork  # noqa: PLC0415
            from trainer.compare.networks import NETWORKS  # noqa: PLC0415
        if name == DEFAULT_NETWORK:
            return DefaultNetwork(QUICK_EPOCHS if self.quick else None)
        network = next(network for network in NETWORKS if network.name == name)
        return replace(network, epochs=QUICK_NETWORK_EPOCHS) if self.quick else network

    def _features_of(self, name: str) -> tuple[str, ...]:
        if name == DEFAULT_NETWORK:
            return (NETWORK_INPUT,)
        if name in NETWORK_NAMES:
            quick = (TOGETHER,) if self.quick else NETWORK_FEATURES
            return tuple(features for features in quick if features in self.features)
        return self.features

    def _rank(self, cell: Cell) -> int:
        joint = cell.features in (TOGETHER, EGEMAPS)
        if cell.system == DEFAULT_NETWORK:
            return 3
        if cell.system in NETWORK_NAMES:
            return 4 if joint else 6
        if cell.system in SLOW:
            return 2 if joint else 5
        return 0 if joint else 1


def system_names() -> tuple[str, ...]:
    """Every system, in the order of the page."""
    return (*(system.name for system in CLASSIC), *NETWORK_NAMES, DEFAULT_NETWORK)


def choose_grid(
    *, quick: bool, systems: Sequence[str] = (), features: Sequence[str] = (), changes: dict[str, int] | None = None
) -> Grid:
    """The full or the quick grid, narrowed to some systems and features, its protocol changed where asked.

    Raises:
        UserError: a system or a set of features that does not exist (or needs a package that is not installed).
    """
    known, sets = system_names(), set_names()
    _known(systems, known, "system")
    _known(features, sets, "features")
    protocol = (QUICK if quick else FULL).model_copy(update=changes or {})
    return Grid(
        tuple(systems) or ((*QUICK_SYSTEMS, DEFAULT_NETWORK) if quick else known),
        tuple(features) or (QUICK_FEATURES if quick else sets),
        protocol,
        quick,
    )


def _known(asked: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in asked:
        if name not in known:
            missing = " (install the package opensmile)" if name == EGEMAPS else ""
            raise UserError(f"no {what} {name!r}{missing}; there are: {', '.join(known)}")

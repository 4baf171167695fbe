"""New emotions from a handful of examples, beside the same examples without weights to start from.

    python -m benchmarks.few_shot --data RAVDESS --before nEMO TESS EmoDB [--emotions calm disgust surprised]
        [--examples 20] [--draws 3]

A network is pretrained on the corpora before, from which every clip of the new emotions is taken out. It then gets a
few examples of each from some speakers of the other corpus, by the choices that `undertone train` makes, and is asked
about all clips of these emotions by the speakers left. Beside it: the same with random weights, and logistic
regression on the means and deviations of the log-mel bands.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import needs

needs("trainer", "tensorflow", "sklearn")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.data.clips import Clips
from trainer.data.corpora import LabelledSpeech, load
from trainer.data.dataset import Dataset, read
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import folds
from trainer.options import TrainingOptions, choose_recipe
from trainer.training.fit import Weights, fit, predict, uar_of
from trainer.training.network import CONTEXT_FRAMES, NetworkShape, network_weights
from trainer.training.recipe import Recipe

FOLDS = 4
PRETRAINING = Recipe(epochs=15, clips_per_epoch=3200, batch=32, learning_rate=3e-3)


def dataset_of(paths: Sequence[Path], emotions: Sequence[str], *, without: bool) -> Dataset:
    """The corpora at these paths: only these emotions, or none of them."""
    utterances = [one for one in load(paths).utterances if (one.emotion in emotions) != without]
    return read(LabelledSpeech(utterances), Preprocessing.default(CONTEXT_FRAMES))


def pretrained(before: Dataset) -> Weights:
    """Weights trained on everything there."""
    clips = before.clips(range(len(before.utterances)))
    return network_weights(fit(clips, None, NetworkShape(n_classes=len(before.labels)), PRETRAINING, seed=0).model)


def handful(labels: NDArray[np.integer], rows: NDArray[np.integer], examples: int, seed: int) -> NDArray[np.integer]:
    """So many rows of each label, drawn from these."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(rows[labels[rows] == label])[:examples] for label in np.unique(labels)]
    return np.concatenate(drawn)


def by_network(clips: Clips, few: NDArray[np.integer], test: NDArray[np.integer], start: Weights | None) -> float:
    """UAR of a network that was given the few."""
    classes = clips.targets.shape[1]
    recipe = choose_recipe(TrainingOptions(()), len(few))
    model = fit(clips.subset(few), None, NetworkShape(n_classes=classes), recipe, seed=0, init=start).model
    held_out = clips.subset(test)
    return uar_of(predict(model, held_out)[0], held_out)


def by_regression(clips: Clips, few: NDArray[np.integer], test: NDArray[np.integer]) -> float:
    """UAR of logistic regression on each band's mean and deviation over the speech."""
    spoken = [np.asarray(x, np.float64)[mask] for x, mask in zip(clips.features, clips.speech, strict=True)]
    vectors = np.array([np.concatenate([x.mean(0), x.std(0)]) for x in spoken])
    labels = clips.targets.argmax(1)
    found = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(vectors[few], labels[few])
    held_out = clips.subset(test)
    return uar_of(np.asarray(found.predict_proba(vectors[test]), np.float32), held_out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--before", type=Path, nargs="+", required=True)
    parser.add_argument("--emotions", nargs="+", default=["calm", "disgust", "surprised"])
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--draws", type=int, default=3)
    options = parser.parse_args()
    data = dataset_of(options.data, options.emotions, without=False)
    start = pretrained(dataset_of(options.before, options.emotions, without=True))
    clips = data.clips(range(len(data.utterances)))
    labels, everybody = clips.targets.argmax(1), np.arange(len(clips))
    parts = [np.array(split.test) for split in folds(list(data.utterances), list(data.groups), FOLDS, 0)]
    found: dict[str, list[float]] = {"from weights without them": [], "from nothing": [], "regression": []}
    for draw in range(options.draws):
        test = parts[draw % FOLDS]
        few = handful(labels, np.setdiff1d(everybody, test), options.examples, draw)
        for name, score in zip(
            found,
            (by_network(clips, few, test, start), by_network(clips, few, test, None), by_regression(clips, few, test)),
            strict=True,
        ):
            found[name].append(score)
    named = ", ".join(data.labels)
    table = Table(title=f"{options.examples} examples each of {named}; chance {1 / len(data.labels):.2f}")
    for title in ("start", "UAR on other speakers", "by draw"):
        table.add_column(title)
    for name, scores in found.items():
        table.add_row(name, f"{np.mean(scores):.3f}", ", ".join(f"{score:.3f}" for score in scores))
    Console().print(table)


if __name__ == "__main__":
    main()

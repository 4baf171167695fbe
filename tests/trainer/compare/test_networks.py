"""The networks: each learns, and the one that ships remembers as its bundle does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.imports import modules
from tests.support.paths import ROOT
from tests.support.voices import write_corpus
from tests.trainer.compare.small_bench import TINY
from trainer.compare import run
from trainer.compare.bench import Bench
from trainer.compare.cells import Cell, run_cell
from trainer.compare.default_network import DefaultNetwork
from trainer.compare.grid import choose_grid
from trainer.compare.measures import mean_recall
from trainer.compare.networks import NETWORKS, Network
from trainer.data.corpora import load


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_networks_learn_and_answer_after_any_time_heard(bench: Bench, network: Network) -> None:
    train, test = bench.folds[0]
    short = replace(network, epochs=6)
    inputs = bench.inputs("sequences", "mfcc")
    uar, learned = short.try_out(inputs, train, test, bench.y, short.defaults, 0)
    assert 0 <= uar <= 1
    assert 1 <= learned["epochs"] <= 6
    fitted = short.fit(inputs, train, bench.y, short.defaults | {"epochs": 12, "learning_rate": 5e-3}, 0)
    assert fitted.parameters > 1000
    # Voices that it was trained on, in moods that differ plainly: what cannot learn these is broken.
    assert mean_recall(bench.y[train], fitted.predict(inputs, train)) > 0.6
    assert len(fitted.predict(bench.inputs("sequences", "mfcc", after=0), test)) == len(test)


def test_the_shipped_network_takes_its_place(corpus: Path) -> None:
    (found,), _ = run.prepare([corpus], choose_grid(quick=True), 1, lambda *_: None)
    cell = Cell(corpus="calls", system="undertone", features="log-mel", split="random")
    result = run_cell(found, DefaultNetwork(epochs=1), cell, TINY)
    assert result.chosen[0].config == {"epochs": 1}
    assert result.trainings[0].parameters < 300_000
    assert sum(answer >= 0 for answer in result.predictions[0]) == 7


def test_the_shipped_network_remembers_as_its_bundle_does(tmp_path: Path) -> None:
    """In a call of one clip it says what it says of the clip; the memory is the one that ships."""
    from trainer.compare.default_network import ClipInputs  # noqa: PLC0415 - loads TensorFlow

    names = {"frustrated": "angry", "satisfied": "neutral"}
    read = load([write_corpus(tmp_path, tuple(names), range(2), 3)]).utterances
    utterances = tuple(replace(one, emotion=names[one.emotion]) for one in read)
    inputs = ClipInputs(utterances)
    rows, labels = np.arange(len(utterances)), inputs.dataset.labels
    y = np.array([labels.index(u.emotion) for u in utterances])
    model = DefaultNetwork(epochs=6).fit(inputs, rows, y, {"epochs": 6}, 0)
    alone = model.predict_in_calls(inputs, [rows[[row]] for row in rows])
    assert alone.tolist() == model.predict(inputs, rows).tolist()
    assert len(model.predict_in_calls(inputs, [rows[:4], rows[::-1]])) == 2


def test_the_shipped_networks_kept_figures_depend_on_all_that_trains_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `fit` is made of is hashed; a module that moves must be named anew."""

    def source(module: str) -> Path:
        return ROOT / f"{module.replace('.', '/')}.py"

    def made_of(module: str) -> set[str]:
        used = {name for name in modules(source(module)) if name.startswith("trainer.") and source(name).is_file()}
        return {module}.union(*map(made_of, used))

    assert made_of("trainer.training.fit") <= set(run.RECIPE_MODULES)
    before = run._recipe_code()
    monkeypatch.setattr(run, "RECIPE_MODULES", run.RECIPE_MODULES[1:])
    assert run._recipe_code() != before
    monkeypatch.setattr(run, "RECIPE_MODULES", ("trainer.training.moved",))
    with pytest.raises(LookupError, match="has moved"):
        run._recipe_code()

"""The trainer: labelled speech in, a bundle and what is known of it out.

    load -> features -> split by speaker -> fit -> calibrate -> export and compare with Keras -> evaluate on held-out
    speakers, through the worker's own engine

Validation speakers choose the epoch and the temperature. Test speakers choose nothing.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib.metadata import version
from operator import add

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec, Lineage, TrainingData
from schemas.errors import UserError
from trainer.data.cache import cached_features
from trainer.data.corpora import LabelledSpeech, load
from trainer.data.dataset import Dataset, read
from trainer.data.preprocessing import Preprocessing
from trainer.data.snapshot_folders import CORPUS, is_snapshot
from trainer.data.splits import BY_NAME, Split
from trainer.evaluation.cost import us_per_second
from trainer.evaluation.held_out import HeldOutResult, evaluate_conditions, evaluate_files, join_results
from trainer.evaluation.in_calls import evaluate_in_calls
from trainer.evaluation.reference import Heard, listen, reference_of
from trainer.options import TrainingOptions, choose_recipe, choose_splits, choose_start
from trainer.packaging.bundle import for_calls, make_bundle, training_prior, with_metrics
from trainer.training.calibration import calibrate
from trainer.training.fit import Epoch, Weights, fit, predict
from trainer.training.network import CONTEXT_FRAMES, NetworkShape
from trainer.training.novelty import fit_novelty
from trainer.training.recipe import Recipe
from trainer.training.weights import Start
from undertone.acoustics.decode import expand
from undertone.analysis.prediction import Band
from undertone.inference.bundle import Bundle
from undertone.inference.model import Model

# Called with what is being done, how much of it is done, and how much there is; 0 of 0 is a line to say.
Progress = Callable[[str, int, int], None]

# Share of all epochs that may pass without a better validation UAR before training ends. A cosine schedule does its
# best work last: with twelve of thirty epochs a run on EmoDB ended on its way up.
PATIENCE = 0.6


@dataclass(frozen=True, slots=True)
class Trained:
    """One trained network: what it was trained on, how that went, its results on its test speakers by condition.

    heard: what those speakers are like to a worker that has this network.
    """

    split: Split
    model: keras.Model
    bundle: Bundle
    history: list[Epoch]
    results: dict[str, HeldOutResult] = field(default_factory=dict)
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run made.

    `final` is the network to use. `networks` are those that were tested: `final` alone, or one for each fold.
    `results` join those of the networks, by condition; each was tested on speakers that it was not trained on.
    """

    labelled: LabelledSpeech
    dataset: Dataset
    final: Trained
    networks: list[Trained]
    results: dict[str, HeldOutResult]
    recipe: Recipe
    started_from: str
    seconds: float


def run(options: TrainingOptions, progress: Progress) -> Outcome:
    """Train, calibrate, export and test.

    With `folds`, a network is trained for each fold and tested on its speakers, and then one on everybody, which is
    the one to use: nobody is left to test it, so its card has the folds' figures.

    Raises:
        UserError: unusable data, or an export whose outputs are not those of the trained network.
    """
    began = time.monotonic()
    labelled = load(options.data)
    start, started_from = choose_start(options, labelled)
    progress(started_from, 0, 0)
    training = _Training(options, labelled, start, progress)
    splits = choose_splits(options, training.dataset)
    fewest = min(len(split.train) for split in splits)
    recipe = choose_recipe(options, fewest)
    titles = [f"Training {k}/{len(splits)}" for k in range(1, len(splits) + 1)] if len(splits) > 1 else ["Training"]
    networks = [training.train_and_test(split, title, recipe) for split, title in zip(splits, titles, strict=True)]
    # A condition that some speakers' files are too few for counts where they are enough.
    names = dict.fromkeys(name for network in networks for name in network.results)
    results = {name: join_results([n.results[name] for n in networks if name in n.results]) for name in names}
    final = networks[0] if len(networks) == 1 else training.train_on_all(networks, recipe)
    bundle = with_metrics(final.bundle, _card_metrics(results) | {"us_per_s": us_per_second(final.bundle)})
    heard = reduce(add, [network.heard for network in networks if network.heard])
    about = {
        "lineage": _lineage(options, start),
        "reference": reference_of(heard, len(training.dataset.labels), held_out=True),
    }
    final = replace(final, bundle=replace(bundle, card=bundle.card.model_copy(update=about)))
    return Outcome(labelled, training.dataset, final, networks, results, recipe, started_from, time.monotonic() - began)


def evaluate_other(outcome: Outcome, other: Model) -> HeldOutResult:
    """Another model of the same labels on the same test files."""
    rows = [k for network in outcome.networks for k in network.split.test]
    clips = outcome.dataset.clips(rows)
    columns = [outcome.dataset.labels.index(label) for label in other.card.labels]
    return evaluate_files(
        [outcome.dataset.utterances[k].path for k in rows],
        clips.targets[:, columns].argmax(axis=1),
        clips.allowed[:, columns],
        other,
        Band.CLEAN,
    )


class _Training:
    """What all networks of a run share: data, starting weights, noises."""

    def __init__(
        self, options: TrainingOptions, labelled: LabelledSpeech, start: Start | None, progress: Progress
    ) -> None:
        self.options, self.labelled, self.start, self.progress = options, labelled, start, progress
        how = Preprocessing.of(start.card) if start else Preprocessing.default(CONTEXT_FRAMES)
        read_of = read(labelled, how, lambda done, of: progress("Features", done, of))
        self.dataset = replace(read_of, weights={CORPUS: options.label_weight})
        labels = self.dataset.labels
        self.weights: Weights | None = None
        self.shape = NetworkShape(n_classes=len(labels))
        if start:
            self.weights, self.shape = start.for_labels(labels)
        self.noises = self._noises()

    def train_and_test(self, split: Split, title: str, recipe: Recipe) -> Trained:
        """Train on a split, and evaluate on its test speakers."""
        model, history = self._fit(split.train, split.valid, title, recipe)
        self._fit_novelty(model, split.valid)
        bundle = self._pack(model, (*split.train, *split.valid), self._calibrate(model, split.valid))
        clips = self.dataset.clips(split.test)

        def say(condition: str) -> None:
            self.progress(f"Evaluating {len(split.test)} files of speakers not trained on: {condition}", 0, 0)

        test = [self.dataset.utterances[k] for k in split.test]
        paths, truth, tested = [one.path for one in test], clips.targets.argmax(axis=1), Model.of(bundle)
        talkers = [self.dataset.utterances[k].path for k in split.train]
        results = evaluate_conditions(paths, truth, clips.allowed, tested, talkers, self.options.seed, say)
        say("in calls")
        speakers = [one.speaker for one in test]
        results |= evaluate_in_calls(paths, truth, clips.allowed, speakers, tested, self.options.seed)
        say("as workers hear them")
        heard = listen(tested, paths, truth, speakers)
        return Trained(split, model, bundle, history, results, heard)

    def train_on_all(self, networks: Sequence[Trained], recipe: Recipe) -> Trained:
        """Train on all speakers for as long as the folds took on the mean, with their mean temperature."""
        epochs = round(float(np.mean([len(network.history) for network in networks])))
        rows = tuple(range(len(self.dataset.utterances)))
        recipe = recipe.model_copy(update={"epochs": epochs})
        model, history = self._fit(rows, (), "Training on everybody", recipe)
        self._fit_novelty(model, rows)
        specs = [network.bundle.card.calibration for network in networks]
        calibration = CalibrationSpec(
            temperature=round(float(np.exp(np.mean([np.log(spec.temperature) for spec in specs]))), 4),
            uncertain_below=round(float(np.mean([spec.uncertain_below for spec in specs])), 3),
        )
        return Trained(Split(rows, (), ()), model, self._pack(model, rows, calibration), history)

    def _for_calls(self, bundle: Bundle, rows: Sequence[int]) -> Bundle:
        """The bundle with the class prior that was asked for, that of its training, and the memory of what it is of."""
        clips = self.dataset.clips(rows)
        shares = training_prior(self.dataset.labels, clips.weights @ clips.targets)
        return for_calls(bundle, self.options.prior or None, shares, self.start.card.caller if self.start else None)

    def _fit(
        self, train: Sequence[int], valid: Sequence[int], what: str, recipe: Recipe
    ) -> tuple[keras.Model, list[Epoch]]:
        clips = self.dataset.clips(train)
        files = clips.targets.sum(axis=0).tolist()
        missing = [label for label, count in zip(self.dataset.labels, files, strict=True) if not count]
        if missing:
            raise UserError(f"nobody is left to train {', '.join(missing)} on: name other --test-speakers")

        def on_epoch(epoch: Epoch) -> None:
            uar = "" if epoch.valid_uar is None else f", validation UAR {epoch.valid_uar:.3f}"
            self.progress(f"{what}: loss {epoch.loss:.3f}{uar}", epoch.epoch, recipe.epochs)

        self.progress(f"{what}: {len(train)} files", 0, recipe.epochs)
        result = fit(
            clips,
            self.dataset.clips(valid) if valid else None,
            self.shape,
            recipe,
            seed=self.options.seed,
            on_epoch=on_epoch,
            init=self.weights,
            noises=self.noises,
            patience=math.ceil(PATIENCE * recipe.epochs) if valid else None,
        )
        return result.model, result.history

    def _fit_novelty(self, model: keras.Model, rows: Sequence[int]) -> None:
        groups = [self.dataset.groups[row] for row in rows]
        fit_novelty(model, self.dataset.clips(rows), groups, [self.dataset.utterances[row].corpus for row in rows])

    def _calibrate(self, model: keras.Model, rows: Sequence[int]) -> CalibrationSpec:
        if not rows:
            return calibrate(np.zeros((0, len(self.dataset.labels))), np.zeros(0, np.int64))
        clips = self.dataset.clips(rows)
        probabilities, _ = predict(model, clips)
        # What a corpus does not know is not wrong: nobody labelled it there.
        log_probabilities = np.log(np.maximum(probabilities, 1e-9)) - 1e3 * (1 - clips.allowed)
        return calibrate(log_probabilities, clips.targets.argmax(axis=1))

    def _pack(self, model: keras.Model, rows: Sequence[int], calibration: CalibrationSpec) -> Bundle:
        data = self.labelled.training_data([self.dataset.utterances[k] for k in rows])
        if self.options.by_name:
            data = tuple(part.model_copy(update={"held_out": BY_NAME}) for part in data)
        bundle = make_bundle(
            model,
            self.dataset.clips(rows[:8]),
            name=self.options.name,
            labels=self.dataset.labels,
            calibration=calibration,
            training_data=_with_earlier(data, self.start),
        )
        return self._for_calls(bundle, rows)

    def _noises(self) -> list[NDArray[np.float32]]:
        if not self.options.noise:
            return []
        paths = expand(self.options.noise)
        how = self.dataset.preprocessing
        found, errors = cached_features(paths, how.front_end, how.gate)
        for error in errors:
            self.progress(f"Noise left out: {error}", 0, 0)
        return [features.frames for features in found if features is not None]


def _card_metrics(results: dict[str, HeldOutResult]) -> dict[str, float]:
    """The card's figures, of speakers that are not in training."""
    clean = results["clean"].to_json(())
    figures = {f"heldout_{name}": clean[name] for name in ("uar", "accuracy", "macro_f1", "ece")}
    figures["heldout_files"] = clean["n"]
    figures |= {f"heldout_uar_after_{seconds}_s": value for seconds, value in clean["uar_after_s"].items()}
    conditions = {name.replace(" ", "_"): result.uar for name, result in results.items() if name != "clean"}
    figures |= {f"heldout_uar_{name}": uar for name, uar in conditions.items()}
    return figures


def _lineage(options: TrainingOptions, start: Start | None) -> Lineage:
    return Lineage(
        code=version("undertone"),
        seed=options.seed,
        started_from=start.card.version if start else None,
        snapshot=next((path.name for path in options.data if is_snapshot(path)), None),
        parent=options.parent,
    )


def _with_earlier(data: tuple[TrainingData, ...], start: Start | None) -> tuple[TrainingData, ...]:
    """The training data, and those of the weights that training started from."""
    now = {part.corpus for part in data}
    before = start.card.training_data if start else ()
    return (*data, *(part for part in before if part.corpus not in now))

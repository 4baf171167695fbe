"""The network that ships, trained by its own recipe on the same clips as everybody else.

Its settings were found before, so nothing is searched; it trains for all of its recipe's epochs, so that no epoch is
chosen by anybody either. It starts from random weights: the shipped weights were trained on other corpora, and
perhaps the very speakers of a fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from schemas.card import CalibrationSpec
from schemas.errors import UserError
from trainer.compare.systems import Config, Labels, Rows
from trainer.data.corpora import LabelledSpeech, Utterance
from trainer.data.dataset import Dataset, read
from trainer.data.preprocessing import Preprocessing
from trainer.options import TrainingOptions, choose_recipe
from trainer.packaging.bundle import for_calls, make_bundle, training_prior
from trainer.training.fit import fit, predict
from trainer.training.network import CONTEXT_FRAMES, NetworkShape
from undertone.analysis.prediction import predict_calls
from undertone.inference.class_prior import UNIFORM
from undertone.inference.model import Model

# Clips that the export is compared on.
_PROBES = 8


@dataclass(frozen=True, slots=True)
class ClipInputs:
    """The corpus as the network takes it: all of each clip, or its first seconds of speech."""

    utterances: tuple[Utterance, ...]
    seconds: float | None = None

    @property
    def dataset(self) -> Dataset:
        """Read when asked: it is larger than all else, and few cells need it."""
        return read_corpus(self.utterances)


@lru_cache(maxsize=1)
def read_corpus(utterances: tuple[Utterance, ...]) -> Dataset:
    """The front end's frames of these clips, from the trainer's cache."""
    return read(LabelledSpeech(list(utterances)), Preprocessing.default(CONTEXT_FRAMES))


@dataclass(frozen=True, slots=True)
class FittedDefaultNetwork:
    """A trained sequence model. `drawn`: how often training drew each label [labels]."""

    model: keras.Model
    parameters: int
    drawn: NDArray[np.floating]

    def predict(self, inputs: ClipInputs, rows: Rows) -> Labels:
        """Class numbers of the clips at `rows`, as the engine's summary of each would have it."""
        clips = inputs.dataset.clips(rows.tolist())
        whole, early = predict(self.model, clips, (inputs.seconds,) if inputs.seconds else ())
        probabilities = early[0] if inputs.seconds else whole
        return np.asarray(probabilities.argmax(axis=1), np.int64)

    def predict_in_calls(self, inputs: ClipInputs, calls: Sequence[Rows]) -> Labels:
        """Class number of the last clip of each call, from the engine, with the memory of the bundle that ships."""
        model = self._for_calls(inputs.dataset).with_prior(UNIFORM)
        paths = [[inputs.utterances[row].path for row in call] for call in calls]
        found = np.zeros(len(calls), np.int64)
        for number, predictions in predict_calls(paths, model):
            if isinstance(last := predictions[-1], UserError):
                raise last
            # Without speech every class is as good: the first, as argmax takes it.
            found[number] = 0 if last.final is None else last.final.argmax()
        return found

    def _for_calls(self, dataset: Dataset) -> Model:
        bundle = make_bundle(
            self.model,
            dataset.clips(range(min(_PROBES, len(dataset.utterances)))),
            name="undertone",
            labels=dataset.labels,
            calibration=CalibrationSpec(),
            training_data=(),
        )
        prior = training_prior(dataset.labels, self.drawn)
        return Model.of(for_calls(bundle, UNIFORM, prior, Model.load().card.caller))


@dataclass(frozen=True, slots=True)
class DefaultNetwork:
    """The shipped network as a system; `epochs` is None for the recipe's own."""

    epochs: int | None = None
    name: ClassVar[str] = "undertone"
    family: ClassVar[str] = "Undertone"
    takes: ClassVar[str] = "clips"
    seeded: ClassVar[bool] = True
    space: ClassVar[Mapping[str, BaseDistribution]] = {}

    @property
    def defaults(self) -> Config:
        """The epochs, where they are not the recipe's own: those depend on how many clips there are."""
        return {"epochs": self.epochs} if self.epochs else {}

    def fit(self, inputs: ClipInputs, rows: Rows, y: Labels, config: Config, seed: int) -> FittedDefaultNetwork:
        """Train from random weights on the clips at `rows`."""
        labels = len(inputs.dataset.labels)
        recipe = choose_recipe(TrainingOptions((), epochs=config.get("epochs")), len(rows))
        keras.backend.clear_session()
        clips = inputs.dataset.clips(rows.tolist())
        model = fit(clips, None, NetworkShape(n_classes=labels), recipe, seed=seed).model
        return FittedDefaultNetwork(model, int(model.count_params()), clips.weights @ clips.targets)

    def try_out(
        self, inputs: ClipInputs, train: Rows, valid: Rows, y: Labels, config: Config, seed: int
    ) -> tuple[float, Config]:
        """Not asked for: there is nothing to search."""
        raise NotImplementedError

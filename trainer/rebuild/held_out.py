"""Candidate and champion on the same files, of speakers that the candidate has not been trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import ModelCard
from schemas.errors import UserError
from trainer.data.splits import BY_NAME
from trainer.train import Outcome
from undertone.analysis.evaluate import masked
from undertone.analysis.prediction import Band, predict_files
from undertone.inference.class_prior import UNIFORM
from undertone.inference.model import Model

Names = NDArray[np.str_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """n files: what each sounds like, whose it is, and what is known of that speaker ("" where nothing is).

    known: the emotions that each corpus has labels for.
    """

    truth: Names
    speakers: Names
    corpora: Names
    genders: Names
    languages: Names
    known: dict[str, frozenset[str]]

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one model says of these files: probabilities [n, its labels] by channel, every label expected as often."""

    card: ModelCard
    probabilities: dict[Band, Floats]

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """The files [n] of which it would say that it does not know."""
        return self.probabilities[Band.CLEAN].max(axis=1) < self.card.calibration.uncertain_below

    def over(self, labels: Sequence[str], allowed: NDArray[np.bool_], band: Band) -> Floats:
        """Probabilities [n, labels] where of each file only the `allowed` [n, labels] can be."""
        columns = np.array([self.card.labels.index(label) for label in labels])
        rows = self.probabilities[band][:, columns] * allowed
        totals = rows.sum(axis=1, keepdims=True)
        uniform = allowed / np.maximum(allowed.sum(axis=1, keepdims=True), 1)
        return np.divide(rows, totals, out=uniform.astype(np.float64), where=totals > 0)

    def knows(self, corpus: str) -> bool:
        """Whether it may have been trained on the speakers of a corpus that test here."""
        return any(part.corpus == corpus and part.held_out != BY_NAME for part in self.card.training_data)


def held_out_of(outcome: Outcome) -> tuple[HeldOut, list[Path]]:
    """The test files of a training, and what is known of them."""
    dataset = outcome.dataset
    rows = [k for network in outcome.networks for k in network.split.test]
    utterances = [dataset.utterances[k] for k in rows]
    known: dict[str, set[str]] = {}
    for utterance in dataset.utterances:
        known.setdefault(utterance.corpus, set()).add(utterance.emotion)
    held_out = HeldOut(
        np.array([utterance.emotion for utterance in utterances]),
        np.array([dataset.groups[k] for k in rows]),
        np.array([utterance.corpus for utterance in utterances]),
        np.array([utterance.gender for utterance in utterances]),
        np.array([utterance.language for utterance in utterances]),
        {corpus: frozenset(emotions) for corpus, emotions in known.items()},
    )
    return held_out, [utterance.path for utterance in utterances]


def hear(paths: Sequence[Path], model: Model) -> Heard:
    """Run files through the engine, clean and by telephone.

    Raises:
        UserError: a file that could be read for training can no longer be read.
    """
    columns = np.arange(len(model.card.labels))
    expecting_all = model.with_prior(UNIFORM)
    probabilities = {}
    for band in Band:
        found: dict[int, Floats | None] = {}
        for index, prediction in predict_files(paths, expecting_all, band):
            if isinstance(prediction, UserError):
                raise prediction
            found[index] = prediction.final
        probabilities[band] = masked([found[index] for index in range(len(paths))], columns)
    return Heard(model.card, probabilities)

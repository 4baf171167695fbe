"""A trained network becomes a bundle that ships: what it expects of calls, its figures, its reference, its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec, CallerSpec, TrainingData
from trainer.data.clips import Clips
from trainer.data.corpora import Utterance
from trainer.distillation.corpus_clips import CorpusClips
from trainer.distillation.reference import with_reference
from trainer.evaluation.cost import us_per_second
from trainer.evaluation.in_calls import evaluate_in_calls
from trainer.packaging.bundle import for_calls, make_bundle, training_prior, with_metrics
from trainer.training.network import network_weights
from trainer.training.weights import save_weights
from undertone.inference.bundle import bundle_bytes
from undertone.inference.model import Model


@dataclass(frozen=True, slots=True)
class Expected:
    """What a bundle expects of calls, and how far it judges an utterance against its caller's earlier ones.

    calls: how often labels are in calls. caller_weight, normal: as the card's `caller` has them, of a caller as usual
    (docs/research/experiments.md, "Ordinary calls").
    """

    calls: Mapping[str, float]
    caller_weight: float
    normal: Mapping[str, float]

    def prior(self, labels: Sequence[str]) -> dict[str, float]:
        """For calls, as far as a model has these labels."""
        return {label: share for label, share in self.calls.items() if label in labels}

    @property
    def caller(self) -> CallerSpec:
        """As the card has it."""
        return CallerSpec(weight=self.caller_weight, normal=dict(self.normal))


@dataclass(frozen=True, slots=True)
class Making:
    """A trained network and what its card says of the data.

    probes: clips that the export is compared on. drawn: how often training drew each label [labels], in any unit.
    reference: the utterances that calls are held against, and whether none of their speakers was trained on.
    """

    model: keras.Model
    probes: Clips
    labels: tuple[str, ...]
    drawn: NDArray[np.floating]
    training_data: tuple[TrainingData, ...]
    reference: Sequence[Utterance]
    reference_held_out: bool


def write(
    making: Making,
    calibration: CalibrationSpec,
    figures: dict[str, float],
    out: Path,
    expected: Expected,
    prior: str | None = None,
    *,
    int8: bool = False,
) -> None:
    """The bundle, and the weights beside it for those who train on from here; `prior` instead of what is expected."""
    labels = making.labels
    bundle = make_bundle(
        making.model,
        making.probes,
        name=out.stem,
        labels=labels,
        calibration=calibration,
        training_data=making.training_data,
        int8=int8,
    )
    shares = training_prior(labels, making.drawn)
    bundle = for_calls(bundle, prior or expected.prior(labels), shares, expected.caller)
    bundle = with_metrics(bundle, figures | {"us_per_s": us_per_second(bundle)})
    bundle = with_reference(bundle, making.reference, held_out=making.reference_held_out)
    out.write_bytes(bundle_bytes(bundle))
    save_weights(out, network_weights(making.model), making.model.undertone_shape, bundle.card.version)


def heard_in_calls(
    model: keras.Model,
    corpus: CorpusClips,
    rows: NDArray[np.integer],
    drawn: NDArray[np.floating],
    calibration: CalibrationSpec,
    expected: Expected,
    seed: int,
    *,
    int8: bool = False,
) -> dict[str, float]:
    """UAR of a corpus's clips at these rows after 3 and 10 others of their speakers, as the bundle would hear them.

    Args:
        drawn: as in `Making`.
    """
    clips, labels = corpus.clips("clean").subset(rows), corpus.dataset.labels
    probes = clips.subset(np.arange(min(8, len(clips))))
    bundle = make_bundle(
        model, probes, name="calls", labels=labels, calibration=calibration, training_data=(), int8=int8
    )
    bundle = for_calls(bundle, None, training_prior(labels, drawn), expected.caller)
    paths, truth = [corpus.utterances[row].path for row in rows], clips.targets.argmax(axis=1)
    found = evaluate_in_calls(paths, truth, clips.allowed, corpus.groups[rows].tolist(), Model.of(bundle), seed)
    return {metric(name): result.uar for name, result in found.items()}


def metric(condition: str) -> str:
    """The name that `undertone train` gives the same figure on a card."""
    return "heldout_uar" if condition == "clean" else f"heldout_uar_{condition.replace(' ', '_')}"

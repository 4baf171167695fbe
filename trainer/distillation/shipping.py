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
from trainer.distillation.reference import with_reference
from trainer.evaluation.cost import us_per_second
from trainer.evaluation.in_calls import evaluate_in_calls
from trainer.packaging.bundle import for_calls, make_bundle, training_prior, with_metrics
from trainer.training.network import network_weights
from trainer.training.weights import save_weights
from undertone.inference.bundle import Bundle, bundle_bytes
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


def made(
    making: Making,
    calibration: CalibrationSpec,
    expected: Expected,
    name: str,
    prior: str | None = None,
    *,
    int8: bool = False,
) -> Bundle:
    """The network as a bundle for calls; `prior` instead of what is expected."""
    bundle = make_bundle(
        making.model,
        making.probes,
        name=name,
        labels=making.labels,
        calibration=calibration,
        training_data=making.training_data,
        int8=int8,
    )
    shares = training_prior(making.labels, making.drawn)
    return for_calls(bundle, prior or expected.prior(making.labels), shares, expected.caller)


def heard_in_calls(
    bundle: Bundle, clips: Clips, utterances: Sequence[Utterance], groups: Sequence[str], seed: int
) -> dict[str, float]:
    """UAR after 3 and after 10 others of the speaker, by the names of a card's figures.

    Args:
        clips: what is tested, and `utterances` its files; `groups` says whom each one counts as.
    """
    paths, truth = [one.path for one in utterances], clips.targets.argmax(axis=1)
    found = evaluate_in_calls(paths, truth, clips.allowed, groups, Model.of(bundle), seed)
    return {metric(name): result.uar for name, result in found.items()}


def write(bundle: Bundle, making: Making, figures: dict[str, float], out: Path) -> None:
    """The bundle with its figures, and the weights beside it for those who train on from here."""
    bundle = with_metrics(bundle, figures | {"us_per_s": us_per_second(bundle)})
    bundle = with_reference(bundle, making.reference, held_out=making.reference_held_out)
    out.write_bytes(bundle_bytes(bundle))
    save_weights(out, network_weights(making.model), making.model.undertone_shape, bundle.card.version)


def metric(condition: str) -> str:
    """The name that `undertone train` gives the same figure on a card."""
    return "heldout_uar" if condition == "clean" else f"heldout_uar_{condition.replace(' ', '_')}"

"""How the bundle in this repository was made, to be run again.

    python -m trainer.distillation.default_bundle --data RAVDESS CREMA-D TESS nEMO EmoDB EMOVO AESDD --also crema-d
        --start open.zip --noise ESC-10/rooster ... --unheard-noise ESC-10/rain ... --work FOLDER --out model.zip

    1. for each published fold, a network that went through the curriculum (curriculum.py) without the fold's
       speakers and without the second corpus's strangers; they then test it, and give the temperature
    2. the same curriculum with everybody
    3. the bundle; with --int8 its large products in eight bits

What is trained is kept in FOLDER: a run that was broken off goes on, and `--only 1 3` trains those folds alone (0: the
network of everybody), so that two processes can share the work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.card import CalibrationSpec
from trainer.data.clips import Clips
from trainer.distillation.curriculum import ALSO_SHARE, Curriculum
from trainer.distillation.shipping import Expected, Making, heard_in_calls, made, metric, write
from trainer.training.calibration import calibrate, cross_fitted_ece
from trainer.training.fit import predict, uar_of
from trainer.training.weights import load_start
from undertone.acoustics.decode import expand

Predictions = dict[str, NDArray[np.float32]]

FOLDS = 4
# What the bundle expects of calls, and how far it judges an utterance against its caller's earlier ones
# (docs/research/experiments.md, "The default as calls are").
EXPECTED = Expected(calls={"neutral": 0.7, "calm": 0.1}, caller_weight=0.5, normal={"neutral": 2.0, "calm": 1.0})


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What the folds' networks predict for people whom they were not trained on.

    `by_condition`: probabilities [N, C] of the target's clips. `strangers`: those of the second corpus's strangers
    [S, C], from each fold's network; none without a second corpus. `models`: these networks.
    """

    parts: Sequence[NDArray[np.integer]]
    models: Sequence[keras.Model]
    truth: Clips
    by_condition: Predictions
    strangers_truth: Clips | None
    strangers: list[NDArray[np.float32]]

    def figures(self) -> dict[str, float]:
        """Mean UAR over the folds by condition, and the ECE with a temperature from the other folds' speakers."""
        scores = {
            metric(name): float(np.mean([uar_of(p[t], self.truth.subset(t)) for t in self.parts]))
            for name, p in self.by_condition.items()
        }
        if self.strangers_truth:
            uars = [uar_of(p, self.strangers_truth) for p in self.strangers]
            scores["heldout_uar_second_corpus"] = float(np.mean(uars))
        error = cross_fitted_ece(self._logs, self._labels, self.parts)
        return scores | {"heldout_ece": error, "heldout_files": float(len(self.truth))}

    def calibration(self) -> CalibrationSpec:
        """Temperature and threshold from all who were not trained on; of the strangers, what one network says."""
        logs, labels = self._logs, self._labels
        if self.strangers_truth:
            unknown = 1e3 * (1 - self.strangers_truth.allowed)
            logs = np.concatenate([logs, np.log(self.strangers[0] + 1e-9) - unknown])
            labels = np.concatenate([labels, self.strangers_truth.targets.argmax(1)])
        return calibrate(logs, labels)

    def calibration_without(self, part: NDArray[np.integer]) -> CalibrationSpec:
        """Temperature and threshold from the other folds' speakers."""
        rest = np.setdiff1d(np.arange(len(self.truth)), part)
        return calibrate(self._logs[rest], self._labels[rest])

    @property
    def _logs(self) -> NDArray[np.float32]:
        return np.log(self.by_condition["clean"] + 1e-9)

    @property
    def _labels(self) -> NDArray[np.int64]:
        return self.truth.targets.argmax(1)


def cross_validate(
    curriculum: Curriculum, parts: Sequence[NDArray[np.integer]], unheard_noise: Sequence[Path]
) -> CrossValidation:
    """Predictions for each target speaker's clips by a network that is not trained on that speaker.

    Conditions are "clean", "telephone", "after 1 s" and "after 2 s" of speech, three bad lines, and "noise 10 dB", if
    there is any noise that no network of a fold was trained with.
    """
    target, also = curriculum.target, curriculum.also
    conditions = target.conditions(unheard_noise, curriculum.seed)
    shape = (len(target), curriculum.shape.n_classes)
    predictions = {name: np.zeros(shape, np.float32) for name in (*conditions, "after 1 s", "after 2 s")}
    unheard = also.variants[0].subset(curriculum.strangers) if also else None
    models, strangers = [], []
    for number, test in enumerate(parts, start=1):
        model = curriculum.fold(number, parts)
        models.append(model)
        for name, clips in conditions.items():
            predictions[name][test], early = predict(model, clips.subset(test), (1.0, 2.0))
            if name == "clean":
                predictions["after 1 s"][test], predictions["after 2 s"][test] = early
        if unheard:
            strangers.append(predict(model, unheard)[0])
        uar = uar_of(predictions["clean"][test], conditions["clean"].subset(test))
        print(f"fold {number}: UAR {uar:.3f}", flush=True)
    return CrossValidation(parts, models, target.variants[0], predictions, unheard, strangers)


def in_calls(curriculum: Curriculum, found: CrossValidation, *, int8: bool) -> dict[str, float]:
    """Mean UAR over the folds after 3 and after 10 utterances; each has temperature and threshold of the others."""
    target, by_fold = curriculum.target, []
    for model, test in zip(found.models, found.parts, strict=True):
        spec, making = found.calibration_without(test), _making(curriculum, model)
        bundle = made(making, spec, EXPECTED, "fold", int8=int8)
        utterances, groups = [target.utterances[row] for row in test], target.groups[test].tolist()
        by_fold.append(heard_in_calls(bundle, found.truth.subset(test), utterances, groups, curriculum.seed))
    known = set.intersection(*map(set, by_fold))
    return {name: float(np.mean([one[name] for one in by_fold])) for name in sorted(known)}


def _making(curriculum: Curriculum, model: keras.Model) -> Making:
    reference = curriculum.target.utterances
    # As often as each label was drawn in fine-tuning.
    drawn = curriculum.target.variants[0].targets.mean(axis=0)
    if curriculum.also:
        drawn = drawn + ALSO_SHARE * curriculum.also.variants[0].targets.mean(axis=0)
        reference = reference + curriculum.also.utterances
    return Making(
        model=model,
        probes=curriculum.target.variants[0].subset(np.arange(8)),
        labels=curriculum.dataset.labels,
        drawn=drawn,
        training_data=curriculum.labelled.training_data(curriculum.dataset.utterances),
        reference=reference,
        reference_held_out=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--target", default="ravdess", help="corpus to fine-tune on; the bundle has its labels")
    parser.add_argument("--also", help="a second corpus to fine-tune on; some of its speakers test the folds")
    parser.add_argument(
        "--start",
        type=Path,
        help="a bundle whose weights pretraining starts from; it knows no speaker of the target, nor a stranger",
    )
    parser.add_argument("--noise", type=Path, nargs="*", default=[], help="sounds that are no speech, to train with")
    parser.add_argument(
        "--unheard-noise", type=Path, nargs="*", default=[], help="sounds to test folds with, kept from their training"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for what is computed once")
    parser.add_argument("--out", type=Path, required=True, help="the bundle; its weights go beside it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", help="train these folds into the work folder and stop")
    parser.add_argument(
        "--int8", action="store_true", help="large products in eight bits: half the time, half the size"
    )
    parser.add_argument("--prior", help="how often labels are in calls; default: neutral 0.7, calm 0.1")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    unheard = expand(options.unheard_noise)
    curriculum = Curriculum(
        options.data,
        options.target,
        options.also,
        options.noise,
        unheard,
        options.work,
        options.seed,
        load_start(options.start) if options.start else None,
    )
    parts = curriculum.target.folds(FOLDS, options.seed)
    if options.only is not None:
        for number in options.only:
            curriculum.fold(number, parts)
        return
    found = cross_validate(curriculum, parts, unheard)
    figures = found.figures() | in_calls(curriculum, found, int8=options.int8)
    print(json.dumps(figures, indent=1))
    making = _making(curriculum, curriculum.fold(0, parts))
    bundle = made(making, found.calibration(), EXPECTED, options.out.stem, options.prior, int8=options.int8)
    write(bundle, making, figures, options.out)


if __name__ == "__main__":
    main()

"""How the bundle in this repository was made, to be run again.

    python -m trainer.shipped --data RAVDESS TESS nEMO EmoDB --noise ESC-10 --work FOLDER --out model.zip

    1. the teacher hears every clip (teacher.py): embeddings, kept in FOLDER
    2. pretraining on the other corpora: labels where a corpus has them, and the teacher's hints
    3. fine-tuning on the target corpus, at three speeds, with soft targets and hints, some of the others mixed in;
       twice with different seeds: the network is the mean of the two
    4. the same for each published fold without its speakers, who then test it and give the temperature
    5. the bundle; with --int8 its large products in eight bits

No target speaker is in step 2, so the folds share it. The teacher's soft targets come from the fold's training
speakers alone, as all else that step 3 learns from.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from acoustics.decode import expand
from analysis.metrics import ece
from inference.bundle import bundle_bytes
from inference.model import softmax
from schemas.card import CalibrationSpec, FrontEndSpec, GateSpec, SegmentSpec
from trainer.augment import Augmentation
from trainer.cache import features_of
from trainer.calibration import calibrate
from trainer.clips import Clips, concatenate
from trainer.corpora import Utterance
from trainer.corpora import load as load_corpora
from trainer.dataset import read
from trainer.distill import blend, fit_hints, soft_targets
from trainer.fit import Epoch, Weights, fit, predict, uar_of
from trainer.listening import Heard, Listener
from trainer.network import NetworkSpec, build_sequence_model, joined, network_weights, restore_weights
from trainer.packing import pack, with_metrics
from trainer.recipe import Recipe
from trainer.splits import folds
from trainer.train import us_per_second
from trainer.weights import save_weights

Answers = dict[str, NDArray[np.float32]]

SPEEDS = ("clean", "slower", "faster")
FOLDS = 4
MEMBERS = 2
SPEAKER_WEIGHT = 12.0
OTHERS_SHARE = 0.15  # added to fine-tuning's draws: keeps other languages in mind
SOFT_SHARE = 0.3

PRETRAINING = Recipe(
    epochs=14,
    hint_share=1.0,
    augmentation=Augmentation(noise=0.3, snr_db=(3, 30), frequency_mask=4, time_mask=5),
)
FINE_TUNING = Recipe(epochs=44, hint_share=0.5, augmentation=Augmentation(noise=0.35))


class Course:
    """The data, what the teacher heard in them, and the two stages of training."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.front_end = FrontEndSpec(context_frames=NetworkSpec(n_classes=2).context_frames)
        self.gate, self.seed, self.work, self.name = GateSpec(), options.seed, options.work, options.out.stem
        self.labelled = load_corpora(options.data)
        self.dataset = read(self.labelled, self.front_end, self.gate)
        # GRUs of 112 keep two members under 300,000 parameters.
        self.spec = NetworkSpec(n_classes=len(self.dataset.labels), dense=112)
        found, _ = features_of(expand(options.noise), self.front_end, self.gate)
        self.noises = [noise.frames for noise in found if noise is not None]
        corpora = np.array([utterance.corpus for utterance in self.dataset.utterances])
        self.target = np.flatnonzero(corpora == options.target)
        self.groups = np.array(self.dataset.groups)[self.target]
        rows = [np.flatnonzero(corpora == name) for name in sorted({*corpora} - {options.target})]
        self.listener = Listener(options.work)
        self.frame_map = self.listener.frame_map(self._utterances(np.concatenate(rows)))
        heard = [self._heard(part, "clean") for part in rows]
        self.hint_map = fit_hints(np.concatenate([part.embeddings for part in heard]))
        self.others = concatenate([self._weighted(*pair) for pair in zip(rows, heard, strict=True)])
        self.spoken = [self.target_clips(variant) for variant in SPEEDS]
        self.heard = [self._heard(self.target, variant).embeddings for variant in SPEEDS]

    def folds(self) -> list[NDArray[np.integer]]:
        """Target rows by fold; every speaker is in one."""
        utterances = [self.dataset.utterances[row] for row in self.target]
        return [np.array(split.test) for split in folds(utterances, list(self.groups), FOLDS, self.seed)]

    def pretrain(self) -> Weights:
        """Weights from the other corpora."""
        draws = round(float(self.others.weights.sum()))
        recipe = PRETRAINING.model_copy(update={"clips_per_epoch": draws})
        say = _say("pretraining", recipe)
        result = fit(self.others, None, self.spec, recipe, seed=self.seed, on_epoch=say, noises=self.noises)
        return network_weights(result.model)

    def network(self, rows: NDArray[np.integer], start: Weights, fold: int) -> keras.Model:
        """The mean of members fine-tuned apart on the target's clips at these rows; no other row has a part in it."""
        model = build_sequence_model(self.spec.model_copy(update={"members": MEMBERS}))
        members = [self._fine_tune(rows, start, (self.seed + n) * 10 + fold) for n in range(MEMBERS)]
        restore_weights(model, joined(members))
        return model

    def _fine_tune(self, rows: NDArray[np.integer], start: Weights, seed: int) -> Weights:
        heard = np.concatenate([part[rows] for part in self.heard])
        clips = concatenate([part.subset(rows) for part in self.spoken])
        labels = clips.targets.argmax(axis=1)
        soft = soft_targets(heard, labels, np.tile(self.groups[rows], len(SPEEDS)), self.spec.n_classes)
        clips = dataclasses.replace(
            clips,
            targets=blend(clips.targets, soft, SOFT_SHARE),
            hints=self.hint_map(heard),
            weights=clips.weights / np.float32(len(SPEEDS)),
        )
        share = OTHERS_SHARE * len(rows) / self.others.weights.sum()
        mixed = concatenate([clips, dataclasses.replace(self.others, weights=self.others.weights * share)])
        recipe = FINE_TUNING.model_copy(update={"clips_per_epoch": round(float(mixed.weights.sum()))})
        say = _say("fine-tuning", recipe)
        result = fit(mixed, None, self.spec, recipe, seed=seed, on_epoch=say, init=start, noises=self.noises)
        return network_weights(result.model)

    def target_clips(self, variant: str) -> Clips:
        """All clips of the target corpus, played as the variant says."""
        clips = self.dataset.clips(self.target.tolist())
        paths = [self.dataset.utterances[row].path for row in self.target]
        found = [one for one in features_of(paths, self.front_end, self.gate, variant=variant)[0] if one is not None]
        return dataclasses.replace(
            clips,
            features=[one.frames.astype(np.float16) for one in found],
            level_db=[one.level_db for one in found],
            speech=[one.active for one in found],
        )

    def _weighted(self, rows: NDArray[np.integer], heard: Heard) -> Clips:
        clips = self.dataset.clips(rows.tolist())
        speakers = len({self.dataset.groups[row] for row in rows})
        # Between one draw for each clip and one for each speaker: ten EmoDB actors say more than two of TESS.
        weight = np.float32(SPEAKER_WEIGHT * np.sqrt(speakers / len(rows)))
        return dataclasses.replace(
            clips, hints=self.hint_map(heard.embeddings), frame_hints=heard.steps, weights=clips.weights * weight
        )

    def _utterances(self, rows: NDArray[np.integer]) -> list[Utterance]:
        return [self.dataset.utterances[row] for row in rows]

    def _heard(self, rows: NDArray[np.integer], variant: str) -> Heard:
        return self.listener.hear(self._utterances(rows), variant, self.frame_map)


def _say(what: str, recipe: Recipe) -> Callable[[Epoch], None]:
    return lambda epoch: print(f"{what}: epoch {epoch.epoch} of {recipe.epochs}, loss {epoch.loss:.3f}", flush=True)


def cross_validate(course: Course, start: Weights, parts: Sequence[NDArray[np.integer]]) -> Answers:
    """What networks that have not heard a target speaker make of that speaker's clips.

    Returns probabilities [N, C] by condition: "clean", "telephone", and "1 s" and "2 s" of speech.
    """
    shape = (len(course.target), course.spec.n_classes)
    answers = {name: np.zeros(shape, np.float32) for name in ("clean", "telephone", "1 s", "2 s")}
    telephone = course.target_clips("telephone")
    for number, test in enumerate(parts):
        rest = np.setdiff1d(np.arange(shape[0]), test)
        model = course.network(rest, start, number)
        answers["clean"][test], early = predict(model, course.spoken[0].subset(test), (1.0, 2.0))
        answers["1 s"][test], answers["2 s"][test] = early
        answers["telephone"][test], _ = predict(model, telephone.subset(test))
        print(f"fold {number + 1}: UAR {uar_of(answers['clean'][test], course.spoken[0].subset(test)):.3f}", flush=True)
    return answers


def figures(answers: Answers, truth: Clips, parts: Sequence[NDArray[np.integer]]) -> dict[str, float]:
    """Mean UAR over the folds by condition, and the ECE with a temperature from the other folds' speakers."""
    scores = {
        f"heldout_uar_{name.replace(' ', '_')}": float(np.mean([uar_of(p[t], truth.subset(t)) for t in parts]))
        for name, p in answers.items()
    }
    labels, calibrated = truth.targets.argmax(1), np.zeros_like(answers["clean"])
    for test in parts:
        rest = np.setdiff1d(np.arange(len(labels)), test)
        logs = np.log(answers["clean"] + 1e-9)
        calibrated[test] = softmax(logs[test] / calibrate(logs[rest], labels[rest]).temperature)
    return scores | {"heldout_ece": float(ece(labels, calibrated)), "heldout_files": float(len(labels))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--target", default="ravdess", help="corpus to fine-tune on; the bundle has its labels")
    parser.add_argument("--noise", type=Path, nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True, help="folder for what is computed once")
    parser.add_argument("--out", type=Path, required=True, help="the bundle; its weights go beside it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--int8", action="store_true", help="large products in eight bits: half the time, half the size"
    )
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    course = Course(options)
    start = course.pretrain()
    parts = course.folds()
    answers = cross_validate(course, start, parts)
    truth = course.spoken[0]
    found = figures(answers, truth, parts)
    print(json.dumps(found, indent=1))
    everybody = np.arange(len(course.target))
    model = course.network(everybody, start, -1)
    calibration = calibrate(np.log(answers["clean"] + 1e-9), truth.targets.argmax(1))
    write(course, model, calibration, found, options.out, int8=options.int8)


def write(
    course: Course,
    model: keras.Model,
    calibration: CalibrationSpec,
    found: dict[str, float],
    out: Path,
    *,
    int8: bool = False,
) -> None:
    """The bundle, and the weights beside it for those who train on from here."""
    bundle = pack(
        model,
        course.spoken[0].subset(np.arange(8)),
        name=course.name,
        labels=course.dataset.labels,
        front_end=course.front_end,
        gate=course.gate,
        segments=SegmentSpec(),
        calibration=calibration,
        training_data=course.labelled.training_data(course.dataset.utterances),
        int8=int8,
    )
    bundle = with_metrics(bundle, found | {"us_per_s": us_per_second(bundle)})
    out.write_bytes(bundle_bytes(bundle.card, bundle.flatbuffer))
    save_weights(out, network_weights(model), model.undertone_spec, bundle.card.version)


if __name__ == "__main__":
    main()

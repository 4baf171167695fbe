"""The curriculum that made the shipped network: pretraining on other corpora, then fine-tuning on the target.

    1. the teacher encodes every clip (teacher_outputs.py)
    2. pretraining on the other corpora: labels where a corpus has them, the teacher's hints for clips and steps
    3. fine-tuning on the target corpus at three speeds, with the clips' hints and with soft targets from probes on
       the teacher's embeddings; some of the other corpora mixed in
    4. the network is the mean of members that went through 2 and 3 apart

No target speaker is in step 2, so folds over the target's speakers share it. What step 3 learns from comes from its
own rows of the target alone, the probes included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from trainer.data.cache import Features, cached_features
from trainer.data.clips import Clips, concatenate
from trainer.data.corpora import Utterance
from trainer.data.corpora import load as load_corpora
from trainer.data.dataset import read
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import folds
from trainer.distillation.soft_targets import blend, fit_hints, soft_targets
from trainer.distillation.teacher_outputs import Teacher, TeacherOutputs
from trainer.training.augmentation import Augmentation, Noises
from trainer.training.fit import Epoch, FitResult, Weights, fit
from trainer.training.network import (
    CONTEXT_FRAMES,
    NetworkShape,
    build_sequence_model,
    join_members,
    network_weights,
    restore_weights,
)
from trainer.training.recipe import Recipe
from undertone.acoustics.decode import expand

SPEEDS = ("clean", "slower", "faster")
SPEAKER_WEIGHT = 12.0
OTHERS_SHARE = 0.15  # added to fine-tuning's draws: keeps other languages in mind
SOFT_SHARE = 0.3

PRETRAINING = Recipe(
    clips_per_epoch=4000,
    batch=32,
    learning_rate=3e-3,
    hint_share=1.0,
    frame_hint_share=1.0,
    augmentation=Augmentation(speed=0.12, noise=0.4),
)
# By member. 200 epochs took 67 minutes of a shared core; a member with them is at 0.674 over the folds, one that had
# 24 at 0.659. A second member fine-tuned from the same 200 epochs added nothing to the first.
PRETRAINING_EPOCHS = (200, 24)
MEMBERS = len(PRETRAINING_EPOCHS)
FINE_TUNING = Recipe(epochs=44, hint_share=0.5, frame_hint_share=0.0, augmentation=Augmentation(speed=0.1, noise=0.35))


class Curriculum:
    """The data, the teacher's outputs for them, and the stages of training. What is trained is kept in `work`."""

    def __init__(
        self, data: list[Path], target: str, noise: list[Path], unheard_noise: list[Path], work: Path, seed: int
    ) -> None:
        self.preprocessing, self.seed, self.work = Preprocessing.default(CONTEXT_FRAMES), seed, work
        self.labelled = load_corpora(data)
        self.dataset = read(self.labelled, self.preprocessing)
        # GRUs of 112 keep two members under 300,000 parameters.
        self.shape = NetworkShape(n_classes=len(self.dataset.labels), dense=112)
        self.noises, self.more_noises = self._sounds(noise), self._sounds(unheard_noise)
        corpora = np.array([utterance.corpus for utterance in self.dataset.utterances])
        self.target = np.flatnonzero(corpora == target)
        self.groups = np.array(self.dataset.groups)[self.target]
        rows = [np.flatnonzero(corpora == name) for name in sorted({*corpora} - {target})]
        self.teacher = Teacher(work)
        self.frame_map = self.teacher.frame_map(self.utterances(np.concatenate(rows)))
        elsewhere = [self._teacher_outputs(part, "clean") for part in rows]
        self.hint_map = fit_hints(np.concatenate([part.embeddings for part in elsewhere]))
        self.others = concatenate([self._weighted(*pair) for pair in zip(rows, elsewhere, strict=True)])
        self.variants = [self.target_clips(variant) for variant in SPEEDS]
        self.embeddings = [self._teacher_outputs(self.target, variant).embeddings for variant in SPEEDS]

    def folds(self, n: int) -> list[NDArray[np.integer]]:
        """Target rows by fold; every speaker is in one."""
        return [np.array(split.test) for split in folds(self.utterances(self.target), list(self.groups), n, self.seed)]

    def pretrained(self, member: int) -> Weights:
        """A member's weights from the other corpora."""

        def train() -> Weights:
            recipe = PRETRAINING.model_copy(update={"epochs": PRETRAINING_EPOCHS[member]})
            say = _say(f"pretraining of member {member + 1}", recipe)
            seed = self.seed + member
            return _weights(fit(self.others, None, self.shape, recipe, seed=seed, on_epoch=say, noises=self.noises))

        return self._kept(f"pretrained-{member}", train)

    def network(self, rows: NDArray[np.integer], name: str, noises: Noises = ()) -> keras.Model:
        """The mean of members fine-tuned apart on the target's clips at these rows; no other row has a part in it."""
        made: list[Clips] = []

        def train(member: int) -> Weights:
            if not made:
                made.append(self._fine_tuning_clips(rows))
            recipe = FINE_TUNING.model_copy(update={"clips_per_epoch": round(float(made[0].weights.sum()))})
            say = _say(f"{name}, member {member + 1}", recipe)
            seed, start, noise = self.seed + member, self.pretrained(member), [*self.noises, *noises]
            return _weights(fit(made[0], None, self.shape, recipe, seed=seed, on_epoch=say, init=start, noises=noise))

        members = [self._kept(f"{name}-{member}", partial(train, member)) for member in range(MEMBERS)]
        model = build_sequence_model(self.shape.model_copy(update={"members": MEMBERS}))
        restore_weights(model, join_members(members))
        return model

    def _fine_tuning_clips(self, rows: NDArray[np.integer]) -> Clips:
        embeddings = np.concatenate([part[rows] for part in self.embeddings])
        clips = concatenate([part.subset(rows) for part in self.variants])
        labels = clips.targets.argmax(axis=1)
        soft = soft_targets(embeddings, labels, np.tile(self.groups[rows], len(SPEEDS)), self.shape.n_classes)
        clips = dataclasses.replace(
            clips,
            targets=blend(clips.targets, soft, SOFT_SHARE),
            hints=self.hint_map(embeddings),
            weights=clips.weights / np.float32(len(SPEEDS)),
        )
        share = OTHERS_SHARE * len(rows) / self.others.weights.sum()
        others = dataclasses.replace(self.others, frame_hints=None, weights=self.others.weights * share)
        return concatenate([clips, others])

    def target_clips(self, variant: str) -> Clips:
        """All clips of the target corpus, played as the variant says."""
        return self.with_features([one.path for one in self.utterances(self.target)], variant)

    def with_features(self, paths: list[Path], variant: str = "clean") -> Clips:
        """The target's clips with the features of these files, which are the same recordings in the same order."""
        clips = self.dataset.clips(self.target.tolist())
        found = [one for one in self._features(paths, variant) if one is not None]
        return dataclasses.replace(
            clips,
            features=[one.frames.astype(np.float16) for one in found],
            level_db=[one.level_db for one in found],
            raw=[one.raw for one in found],
        )

    def utterances(self, rows: NDArray[np.integer]) -> list[Utterance]:
        """The files of these rows of the dataset."""
        return [self.dataset.utterances[row] for row in rows]

    def _weighted(self, rows: NDArray[np.integer], taught: TeacherOutputs) -> Clips:
        clips = self.dataset.clips(rows.tolist())
        speakers = len({self.dataset.groups[row] for row in rows})
        # Between one draw for each clip and one for each speaker: ten EmoDB actors say more than two of TESS.
        weight = np.float32(SPEAKER_WEIGHT * np.sqrt(speakers / len(rows)))
        return dataclasses.replace(
            clips, hints=self.hint_map(taught.embeddings), frame_hints=taught.steps, weights=clips.weights * weight
        )

    def _teacher_outputs(self, rows: NDArray[np.integer], variant: str) -> TeacherOutputs:
        return self.teacher.outputs(self.utterances(rows), variant, self.frame_map)

    def _sounds(self, paths: list[Path]) -> Noises:
        return [sound.frames for sound in self._features(expand(paths), "clean") if sound is not None]

    def _features(self, paths: list[Path], variant: str) -> list[Features | None]:
        how = self.preprocessing
        return cached_features(paths, how.front_end, how.gate, variant=variant)[0]

    def _kept(self, name: str, train: Callable[[], Weights]) -> Weights:
        """Weights from the work folder, or trained and kept there: a run that was broken off goes on."""
        path = self.work / f"{name}.npz"
        if not path.is_file():
            part = path.with_suffix(".part.npz")
            np.savez(part, allow_pickle=False, **train())
            part.replace(path)
        with np.load(path, allow_pickle=False) as found:
            return dict(found)


def _weights(result: FitResult) -> Weights:
    return network_weights(result.model)


def _say(what: str, recipe: Recipe) -> Callable[[Epoch], None]:
    return lambda epoch: print(f"{what}: epoch {epoch.epoch} of {recipe.epochs}, loss {epoch.loss:.3f}", flush=True)

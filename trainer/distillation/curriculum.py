"""The curriculum that made the shipped network: pretraining on other corpora, then fine-tuning on the target.

    1. the teacher encodes every clip (teacher_outputs.py)
    2. pretraining on the other corpora (pretraining.py)
    3. fine-tuning on the target corpus at three speeds, with the clips' hints and with soft targets from probes on
       the teacher's embeddings (target.py); some of the other corpora mixed in
    4. the network is the mean of members that went through 2 and 3 apart

Step 2 may start from the weights of a bundle, as that of the shipped network does from `open`'s.

No target speaker is in step 2, so folds over the target's speakers share it. What step 3 learns from comes from its
own rows of the target alone, the probes included.

A second corpus may be fine-tuned on too: the target's actors say two sentences in one studio. It is in step 2 as well,
but for some of its speakers, the strangers, who are in no training but that of everybody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from schemas.errors import UserError
from trainer.data.clips import Clips, concatenate
from trainer.data.corpora import load as load_corpora
from trainer.data.dataset import read
from trainer.data.preprocessing import Preprocessing
from trainer.distillation.pretraining import (
    PRETRAINING,
    PretrainingData,
    kept,
    rows_by_corpus,
    rows_without,
    say,
    sounds,
    strangers_of,
    with_labels_of,
)
from trainer.distillation.target import Target
from trainer.distillation.teacher_outputs import Teacher
from trainer.training.augmentation import Augmentation, Noises
from trainer.training.fit import FitResult, Weights, fit
from trainer.training.network import (
    CONTEXT_FRAMES,
    NetworkShape,
    join_members,
    restored,
)
from trainer.training.novelty import fit_novelty
from trainer.training.recipe import Recipe
from trainer.training.weights import Start

OTHERS_SHARE = 0.15  # added to fine-tuning's draws: keeps other languages in mind
# How often the second corpus is drawn for one draw of the target. On the second fold, where one network has 0.677
# without it: 0.3 has 0.674, and 0.679 on the strangers; 1 has 0.646 and 0.687.
ALSO_SHARE = 0.3

# By member, from the weights of `open`, which had 120 epochs: 23 minutes of a core. Without a start and a second
# corpus a member that had 200 is at 0.674 over the folds, one that had 24 at 0.659. A second member that was
# fine-tuned from the same 200 epochs added nothing to the first, and one with epochs of its own a point, for twice
# the time of every prediction.
PRETRAINING_EPOCHS = (50,)
MEMBERS = len(PRETRAINING_EPOCHS)
FINE_TUNING = Recipe(
    epochs=44,
    hint_share=0.5,
    frame_hint_share=0.0,
    augmentation=Augmentation(speed=0.1, noise=0.35, aside=0.2, loss=0.2),
)


class Curriculum:
    """The data, the teacher's outputs for them, and the stages of training. What is trained is kept in `work`."""

    def __init__(
        self,
        data: list[Path],
        target: str,
        also: str | None,
        noise: list[Path],
        unheard_noise: list[Path],
        work: Path,
        seed: int,
        start: Start | None = None,
    ) -> None:
        if start and target in {part.corpus for part in start.card.training_data}:
            raise UserError(
                f"{start.card.version} was trained on {target}, whose folds it would know: start from another"
            )
        self.preprocessing, self.seed, self.work, self.start = Preprocessing.default(CONTEXT_FRAMES), seed, work, start
        self.labelled = with_labels_of(target, load_corpora(data))
        self.dataset = read(self.labelled, self.preprocessing)
        # GRUs of 112 keep two members under 300,000 parameters.
        self.shape = NetworkShape(n_classes=len(self.dataset.labels), dense=112)
        self.noises, self.more_noises = sounds(noise, self.preprocessing), sounds(unheard_noise, self.preprocessing)
        rows = rows_by_corpus(self.dataset)
        strangers = strangers_of(self.dataset, rows[also]) if also else set[str]()
        heard = rows_without(rows, self.dataset, strangers)
        del heard[target]
        teacher = Teacher(work)
        taught = PretrainingData(self.dataset, rows, heard, teacher)
        self.hint_map, self.pretraining, self.others = taught.hint_map, taught.clips(), taught.clips(but=also)
        self.target = Target(self.dataset, rows[target], teacher, taught.frame_map)
        self.also = Target(self.dataset, rows[also], teacher, taught.frame_map) if also else None
        self.strangers = self.also.rows_of(strangers) if self.also else np.zeros(0, np.intp)

    def pretrained(self, member: int) -> Weights:
        """A member's weights from the other corpora."""

        def train() -> FitResult:
            recipe = PRETRAINING.model_copy(update={"epochs": PRETRAINING_EPOCHS[member]})
            tell = say(f"pretraining of member {member + 1}", recipe)
            seed, noises = self.seed + member, self.noises
            init = self.start.for_labels(self.dataset.labels)[0] if self.start else None
            return fit(self.pretraining, None, self.shape, recipe, seed=seed, on_epoch=tell, init=init, noises=noises)

        return kept(self.work / f"pretrained-{member}.npz", train)

    def fold(self, number: int, parts: Sequence[NDArray[np.integer]]) -> keras.Model:
        """The network that is not trained on the speakers of fold `number`, from 1 on; 0: on everybody."""
        everybody = np.arange(len(self.target))
        if number == 0:
            return self._network(everybody, np.zeros(0, np.intp), "everybody", self.more_noises)
        return self._network(np.setdiff1d(everybody, parts[number - 1]), self.strangers, f"fold-{number}")

    def _network(
        self, rows: NDArray[np.integer], without: NDArray[np.integer], name: str, noises: Noises = ()
    ) -> keras.Model:
        """The mean of members fine-tuned apart on these rows of the target, and on the second corpus without some."""
        made: list[Clips] = []

        def train(member: int) -> FitResult:
            if not made:
                made.append(self._fine_tuning_clips(rows, without))
            recipe = FINE_TUNING.model_copy(update={"clips_per_epoch": round(float(made[0].weights.sum()))})
            tell = say(f"{name}, member {member + 1}", recipe)
            seed, start, noise = self.seed + member, self.pretrained(member), [*self.noises, *noises]
            return fit(made[0], None, self.shape, recipe, seed=seed, on_epoch=tell, init=start, noises=noise)

        members = [kept(self.work / f"{name}-{member}.npz", partial(train, member)) for member in range(MEMBERS)]
        model = restored(self.shape.model_copy(update={"members": MEMBERS}), join_members(members))
        self._fit_novelty(model, rows, without)
        return model

    def _fit_novelty(self, model: keras.Model, rows: NDArray[np.integer], without: NDArray[np.integer]) -> None:
        """Familiar are the two corpora that it was fine-tuned on: from them come those who give the temperature."""
        heard = [(self.target, rows)]
        if self.also:
            heard.append((self.also, np.setdiff1d(np.arange(len(self.also)), without)))
        clips = concatenate([corpus.variants[0].subset(some) for corpus, some in heard])
        groups = np.concatenate([corpus.groups[some] for corpus, some in heard])
        corpora = np.concatenate([np.array(corpus.corpora)[some] for corpus, some in heard])
        fit_novelty(model, clips, groups.tolist(), corpora.tolist())

    def _fine_tuning_clips(self, rows: NDArray[np.integer], without: NDArray[np.integer]) -> Clips:
        draws = len(rows)
        clips = [self.target.fine_tuning_clips(rows, self.hint_map, draws)]
        if self.also:
            heard = np.setdiff1d(np.arange(len(self.also)), without)
            clips.append(self.also.fine_tuning_clips(heard, self.hint_map, ALSO_SHARE * draws))
        share = OTHERS_SHARE * sum(part.weights.sum() for part in clips) / self.others.weights.sum()
        others = dataclasses.replace(self.others, frame_hints=None, weights=self.others.weights * np.float32(share))
        return concatenate([*clips, others])

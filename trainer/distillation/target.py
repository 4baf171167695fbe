"""A corpus that networks are fine-tuned on: its clips, and what the teacher makes of them, at three speeds."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from trainer.data.clips import Clips, concatenate
from trainer.data.dataset import Dataset
from trainer.data.splits import folds
from trainer.distillation.corpus_clips import CorpusClips
from trainer.distillation.soft_targets import FrameMap, HintMap, blend, soft_targets
from trainer.distillation.teacher_outputs import Teacher

SPEEDS = ("clean", "slower", "faster")
SOFT_SHARE = 0.3


class Target(CorpusClips):
    """`variants` are its clips by speed, `embeddings` the teacher's of each."""

    def __init__(self, dataset: Dataset, rows: NDArray[np.integer], teacher: Teacher, frame_map: FrameMap) -> None:
        super().__init__(dataset, rows)
        self.variants = [self.clips(variant) for variant in SPEEDS]
        self.embeddings = [teacher.outputs(self.utterances, variant, frame_map).embeddings for variant in SPEEDS]

    def folds(self, n: int, seed: int) -> list[NDArray[np.integer]]:
        """Rows by fold; every speaker is in one."""
        return [np.array(split.test) for split in folds(self.utterances, list(self.groups), n, seed)]

    def fine_tuning_clips(self, rows: NDArray[np.integer], hint_map: HintMap, draws: float) -> Clips:
        """Clips at these rows with hints and soft targets; an epoch draws so many. No other row has a part in them."""
        embeddings = np.concatenate([part[rows] for part in self.embeddings])
        clips = concatenate([part.subset(rows) for part in self.variants])
        speakers = np.tile(self.groups[rows], len(SPEEDS))
        soft = soft_targets(embeddings, clips.targets.argmax(axis=1), speakers, clips.targets.shape[1])
        return dataclasses.replace(
            clips,
            targets=blend(clips.targets, soft, SOFT_SHARE),
            hints=hint_map(embeddings),
            weights=clips.weights * np.float32(draws / clips.weights.sum()),
        )

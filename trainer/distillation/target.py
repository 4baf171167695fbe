"""A corpus that networks are fine-tuned on: its clips, and what the teacher makes of them, at three speeds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.cache import cached_features
from trainer.data.clips import Clips, concatenate
from trainer.data.corpora import Utterance
from trainer.data.dataset import Dataset
from trainer.data.splits import folds
from trainer.distillation.soft_targets import FrameMap, HintMap, blend, soft_targets
from trainer.distillation.teacher_outputs import Teacher

SPEEDS = ("clean", "slower", "faster")
SOFT_SHARE = 0.3


class Target:
    """Rows are those of this corpus, from 0 on. `variants` are its clips by speed, `groups` whom each one counts as."""

    def __init__(self, dataset: Dataset, rows: NDArray[np.integer], teacher: Teacher, frame_map: FrameMap) -> None:
        self.dataset, self.rows = dataset, rows
        self.utterances: list[Utterance] = [dataset.utterances[row] for row in rows]
        self.groups = np.array(dataset.groups)[rows]
        self.variants = [self.clips(variant) for variant in SPEEDS]
        self.embeddings = [teacher.outputs(self.utterances, variant, frame_map).embeddings for variant in SPEEDS]

    def __len__(self) -> int:
        return len(self.rows)

    def folds(self, n: int, seed: int) -> list[NDArray[np.integer]]:
        """Rows by fold; every speaker is in one."""
        return [np.array(split.test) for split in folds(self.utterances, list(self.groups), n, seed)]

    def rows_of(self, groups: set[str]) -> NDArray[np.integer]:
        """Rows of some speakers."""
        return np.flatnonzero(np.isin(self.groups, sorted(groups)))

    def clips(self, variant: str) -> Clips:
        """All clips, played as the variant says."""
        return self.with_features([one.path for one in self.utterances], variant)

    def with_features(self, paths: list[Path], variant: str = "clean") -> Clips:
        """The clips with the features of these files, which are the same recordings in the same order."""
        how = self.dataset.preprocessing
        found = [one for one in cached_features(paths, how.front_end, how.gate, variant=variant)[0] if one is not None]
        return dataclasses.replace(
            self.dataset.clips(self.rows.tolist()),
            features=[one.frames.astype(np.float16) for one in found],
            level_db=[one.level_db for one in found],
            raw=[one.raw for one in found],
        )

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

"""One corpus on the bench: who says what, its folds, and its features in the form that each system takes."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schemas.card import STEPS_PER_SECOND
from schemas.errors import UserError
from trainer.compare.features import (
    AFTER_SECONDS,
    EGEMAPS,
    ClipFeatures,
    Sequences,
    stack_steps,
    step_columns,
    vector_columns,
)
from trainer.compare.systems import Labels, Rows
from trainer.data import splits
from trainer.data.corpora import Utterance
from trainer.data.layouts import ravdess
from trainer.evaluation.in_calls import BEFORE, draw_calls
from undertone.analysis.alarms import QUIET
from undertone.analysis.evaluate import UTTERANCES_HEARD

SplitName = Literal["speakers", "random"]
MOST_FOLDS = 5


@dataclass(frozen=True)
class Bench:
    """A corpus whose features are computed. Rows of everything are its `utterances`."""

    name: str
    utterances: tuple[Utterance, ...]
    labels: tuple[str, ...]
    y: Labels
    groups: NDArray[np.str_]
    speech_s: NDArray[np.float32]
    vectors: NDArray[np.float32]
    egemaps: NDArray[np.float32]
    sequences: Sequences
    fingerprint: str

    @cached_property
    def folds(self) -> list[tuple[Rows, Rows]]:
        """(train, test) by speaker; every speaker tests in exactly one."""
        count = fold_count(self.groups)
        if count < 3:
            tests = [np.flatnonzero(self.groups == who) for who in np.unique(self.groups)]
        else:
            tests = [np.array(split.test) for split in splits.folds(self.utterances, list(self.groups), count)]
        everything = np.arange(len(self.y))
        return [(np.setdiff1d(everything, test), test) for test in tests]

    def random_split(self, seed: int) -> tuple[Rows, Rows]:
        """80/20 whoever speaks: what a split by speaker is there to avoid."""
        test = np.array(splits.random_split(len(self.y), seed).test)
        return np.setdiff1d(np.arange(len(self.y)), test), test

    def calls(self, test: Rows, seed: int) -> list[list[Rows]]:
        """Each test clip at the end of a call of its speaker, by UTTERANCES_HEARD before it.

        Rows of each call [heard + 1]: of ten before it seven are neutral or calm where there are as many, for people in
        calls mostly are. Clips of speakers with too few others are in none.
        """
        usual = np.isin([self.labels[label] for label in self.y[test]], sorted(QUIET))
        return [
            [
                test[call]
                for call in draw_calls(usual, self.groups[test], heard, BEFORE.get(heard, 0), seed, most=len(test))
            ]
            for heard in UTTERANCES_HEARD
        ]

    def inputs(self, takes: str, features: str, after: int = -1) -> Any:
        """The corpus as a system takes it; with `after`, its first AFTER_SECONDS[after] of speech.

        None where that is not known: eGeMAPS are computed of whole clips alone.
        """
        if features == EGEMAPS:
            return self.egemaps if after < 0 else None
        if takes == "clips":
            return self._clip_inputs(AFTER_SECONDS[after] if after >= 0 else None)
        if takes == "vectors":
            return self.vectors[:, after, vector_columns(features)]
        columns = step_columns(features)
        lengths = self.sequences.lengths
        if after >= 0:
            lengths = np.minimum(lengths, round(AFTER_SECONDS[after] * STEPS_PER_SECOND))
        return Sequences(np.asarray(self.sequences.steps[:, :, columns]), lengths)

    def _clip_inputs(self, seconds: float | None) -> Any:
        # TensorFlow takes seconds and 600 MB to load, and most cells do without.
        from trainer.compare.default_network import ClipInputs  # noqa: PLC0415

        return ClipInputs(self.utterances, seconds)


def fold_count(groups: NDArray[np.str_]) -> int:
    """Five, or fewer where there are fewer speakers; RAVDESS's published folds, of which not all need be there."""
    speakers = {str(group) for group in groups}
    if all(speaker.startswith("ravdess/") for speaker in speakers):
        actors = {speaker.partition("/")[2] for speaker in speakers}
        present = sum(bool(actors & set(fold)) for fold in ravdess.FOLDS)
        if present >= 3:
            return present
    return min(MOST_FOLDS, len(speakers))


def make_bench(name: str, utterances: Sequence[Utterance], clips: Sequence[ClipFeatures]) -> Bench:
    """Put a corpus on the bench.

    Raises:
        UserError: fewer than two speakers or two emotions in it, or a fold whose training part has one emotion.
    """
    labels = tuple(sorted({utterance.emotion for utterance in utterances}))
    y = np.array([labels.index(utterance.emotion) for utterance in utterances], np.int64)
    groups = splits.speaker_groups([u.speaker for u in utterances], [clip.recording for clip in clips])
    if len(set(groups)) < 2 or len(labels) < 2:
        raise UserError(f"{name}: {len(set(groups))} speakers and {len(labels)} emotions; two of each are needed")
    sequences = stack_steps(clips)
    vectors = np.stack([clip.vectors for clip in clips])
    egemaps = np.stack([clip.egemaps for clip in clips])
    digest = hashlib.sha256(json.dumps([labels, y.tolist(), groups]).encode())
    for array in (vectors, egemaps, sequences.steps):
        digest.update(np.ascontiguousarray(array).tobytes())
    bench = Bench(
        name,
        tuple(utterances),
        labels,
        y,
        np.array(groups),
        np.array([clip.speech_s for clip in clips], np.float32),
        vectors,
        egemaps,
        sequences,
        digest.hexdigest(),
    )
    if any(len(np.unique(y[train])) < 2 for train, _ in bench.folds):
        raise UserError(f"{name}: without one fold's speakers a single emotion is left to train on")
    return bench


def describe(bench: Bench) -> dict[str, Any]:
    """What was on the bench, for compare.json."""
    return {
        "corpus": bench.name,
        "clips": len(bench.y),
        "speakers": len(np.unique(bench.groups)),
        "labels": list(bench.labels),
        "counts": {label: int((bench.y == k).sum()) for k, label in enumerate(bench.labels)},
        "genders": dict(sorted(Counter(u.gender for u in bench.utterances if u.gender).items())),
        "speech_s": {
            "median": round(float(np.median(bench.speech_s)), 2),
            "p90": round(float(np.percentile(bench.speech_s, 90)), 2),
        },
        "folds": [sorted({str(who) for who in bench.groups[test]}) for _, test in bench.folds],
    }

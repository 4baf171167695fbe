"""Utterances with their features: what a training run works on, and the clips that `fit` takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.errors import UserError
from trainer.data.cache import Features, cached_features
from trainer.data.clips import Clips, one_hot
from trainer.data.corpora import LabelledSpeech, Utterance
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import speaker_groups


@dataclass(frozen=True, slots=True)
class Dataset:
    """Utterances that could be read, their features in the same order, and what each one's speaker counts as.

    weights: how often a file of a corpus is drawn in training, where that is not once.
    """

    utterances: tuple[Utterance, ...]
    features: tuple[Features, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: Mapping[str, float] = field(default_factory=dict)

    def clips(self, indices: Sequence[int]) -> Clips:
        """Some of the utterances as `fit` takes them.

        A clip's loss looks only at the emotions that its corpus knows: a corpus without "calm" says nothing about it.
        """
        number = {label: k for k, label in enumerate(self.labels)}
        known = {corpus: np.zeros(len(self.labels), np.float32) for corpus in {u.corpus for u in self.utterances}}
        for utterance in self.utterances:
            known[utterance.corpus][number[utterance.emotion]] = 1.0
        chosen = [self.utterances[index] for index in indices]
        return Clips(
            features=[self.features[index].frames for index in indices],
            level_db=[self.features[index].level_db for index in indices],
            raw=[self.features[index].raw for index in indices],
            targets=one_hot(np.array([number[u.emotion] for u in chosen], np.int64), len(self.labels)),
            allowed=np.array([known[u.corpus] for u in chosen], np.float32).reshape(len(chosen), len(self.labels)),
            weights=np.array([self.weights.get(u.corpus, 1.0) for u in chosen], np.float32),
            preprocessing=self.preprocessing,
        )


def read(
    labelled: LabelledSpeech,
    preprocessing: Preprocessing,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read every file's features. Files that cannot be read, or hold no speech, are left out and counted.

    Raises:
        UserError: nothing is left of an emotion, or of all but one speaker; the first reason is named.
    """
    found, errors = cached_features(
        [u.path for u in labelled.utterances], preprocessing.front_end, preprocessing.gate, progress=progress
    )
    if errors:
        labelled.warnings["files that cannot be read, left out"] += len(errors)
        labelled.errors += errors
    silent = sum(1 for features in found if features is not None and not features.raw.any())
    if silent:
        labelled.warnings["files in which the gate finds no speech, left out"] += silent
    pairs = [(u, f) for u, f in zip(labelled.utterances, found, strict=True) if f is not None and f.raw.any()]
    _check(labelled, pairs)
    kept = _once(labelled, pairs)
    utterances, features = tuple(u for u, _ in kept), tuple(f for _, f in kept)
    groups = speaker_groups([u.speaker for u in utterances], [f.recording for f in features])
    return Dataset(utterances, features, tuple(groups), labelled.labels, preprocessing)


def _once(labelled: LabelledSpeech, pairs: list[tuple[Utterance, Features]]) -> list[tuple[Utterance, Features]]:
    """Without files that hold the same recording of the same speaker under the same label again."""
    seen: set[tuple[str, str, str]] = set()
    meant: dict[str, str] = {}
    kept = []
    for utterance, features in pairs:
        if meant.setdefault(features.recording, utterance.emotion) != utterance.emotion:
            labelled.warnings["recordings that occur again under another emotion, kept"] += 1
        identity = (features.recording, utterance.speaker, utterance.emotion)
        if identity in seen:
            labelled.warnings["files that repeat a recording, used once"] += 1
            continue
        seen.add(identity)
        kept.append((utterance, features))
    return kept


def _check(labelled: LabelledSpeech, pairs: list[tuple[Utterance, Features]]) -> None:
    counted = (f"{what}: {count}" for what, count in labelled.warnings.items())
    why = "; ".join((*counted, *labelled.errors[:1]))
    lost = set(labelled.labels) - {utterance.emotion for utterance, _ in pairs}
    if lost:
        raise UserError(f"no usable file is left of {', '.join(sorted(lost))} ({why})")
    if len({utterance.speaker for utterance, _ in pairs}) < 2:
        raise UserError(f"usable files of one speaker only are left; at least two speakers are needed ({why})")

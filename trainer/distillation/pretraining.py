"""Pretraining: labels, and the teacher's hints for clips and steps, on every corpus but the one to fine-tune on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.cache import cached_features
from trainer.data.clips import Clips, concatenate
from trainer.data.corpora import LabelledSpeech
from trainer.data.dataset import Dataset
from trainer.data.preprocessing import Preprocessing
from trainer.distillation.soft_targets import fit_hints
from trainer.distillation.teacher_outputs import Teacher, TeacherOutputs
from trainer.training.augmentation import Augmentation, Noises
from trainer.training.fit import Epoch, FitResult, Weights
from trainer.training.network import network_weights
from trainer.training.recipe import Recipe
from undertone.acoustics.decode import expand

SPEAKER_WEIGHT = 12.0
# Of one corpus: as many speakers are in no pretraining, and test what comes of it.
STRANGERS, STRANGERS_SEED = 16, 7

PRETRAINING = Recipe(
    clips_per_epoch=4000,
    batch=32,
    learning_rate=3e-3,
    hint_share=1.0,
    frame_hint_share=1.0,
    augmentation=Augmentation(speed=0.12, noise=0.4, aside=0.2, loss=0.2),
)


class PretrainingData:
    """Clips by corpus, weighted, with the teacher's hints.

    Rows are the dataset's. `rows`: all of each corpus, which the teacher encodes; `heard`: those that are trained on,
    from which alone the hints' axes come.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: Mapping[str, NDArray[np.integer]],
        heard: Mapping[str, NDArray[np.integer]],
        teacher: Teacher,
    ) -> None:
        self._dataset, self._teacher = dataset, teacher
        self.frame_map = teacher.frame_map([dataset.utterances[row] for row in np.concatenate([*heard.values()])])
        taught = {name: self._outputs(rows[name], part) for name, part in heard.items()}
        self.hint_map = fit_hints(np.concatenate([part.embeddings for part in taught.values()]))
        self.by_corpus = {name: self._weighted(heard[name], part) for name, part in taught.items()}

    def clips(self, but: str | None = None) -> Clips:
        """The clips of all corpora but one."""
        return concatenate([part for name, part in self.by_corpus.items() if name != but])

    def _outputs(self, rows: NDArray[np.integer], some: NDArray[np.integer]) -> TeacherOutputs:
        """The teacher's outputs for some rows of a corpus, whose rows are all encoded."""
        made = self._teacher.outputs([self._dataset.utterances[row] for row in rows], "clean", self.frame_map)
        places = np.searchsorted(rows, some)
        return TeacherOutputs(made.embeddings[places], [made.steps[place] for place in places])

    def _weighted(self, rows: NDArray[np.integer], taught: TeacherOutputs) -> Clips:
        clips = self._dataset.clips(rows.tolist())
        speakers = len({self._dataset.groups[row] for row in rows})
        # Between one draw for each clip and one for each speaker: ten EmoDB actors say more than two of TESS.
        weight = np.float32(SPEAKER_WEIGHT * np.sqrt(speakers / len(rows)))
        return dataclasses.replace(
            clips, hints=self.hint_map(taught.embeddings), frame_hints=taught.steps, weights=clips.weights * weight
        )


def rows_by_corpus(dataset: Dataset) -> dict[str, NDArray[np.integer]]:
    """The dataset's rows of each corpus, in the order of the corpora's names."""
    corpora = np.array([utterance.corpus for utterance in dataset.utterances])
    return {name: np.flatnonzero(corpora == name) for name in sorted({*corpora})}


def strangers_of(dataset: Dataset, rows: NDArray[np.integer]) -> set[str]:
    """Some speakers of a corpus, the same ones each time."""
    return strangers_among({dataset.groups[row] for row in rows})


def strangers_among(speakers: Set[str]) -> set[str]:
    """Some of these speakers, the same ones each time."""
    return set(np.random.default_rng(STRANGERS_SEED).choice(sorted(speakers), STRANGERS, replace=False).tolist())


def rows_without(
    rows: Mapping[str, NDArray[np.integer]], dataset: Dataset, speakers: set[str]
) -> dict[str, NDArray[np.integer]]:
    """Rows by corpus without those of some speakers."""
    return {
        name: np.array([row for row in part if dataset.groups[row] not in speakers], np.intp)
        for name, part in rows.items()
    }


def with_labels_of(corpus: str, labelled: LabelledSpeech) -> LabelledSpeech:
    """Without clips of emotions that this corpus does not know: the bundle has its labels."""
    known = {one.emotion for one in labelled.utterances if one.corpus == corpus}
    return dataclasses.replace(labelled, utterances=[one for one in labelled.utterances if one.emotion in known])


def sounds(paths: Sequence[Path], how: Preprocessing) -> Noises:
    """Sounds that are no speech, as training adds them to clips."""
    found = cached_features(expand([*paths]), how.front_end, how.gate)[0]
    return [sound.frames for sound in found if sound is not None]


def kept(path: Path, train: Callable[[], FitResult]) -> Weights:
    """The weights in this file, or trained and kept there: a run that was broken off goes on."""
    if not path.is_file():
        part = path.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **network_weights(train().model))
        part.replace(path)
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


def say(what: str, recipe: Recipe) -> Callable[[Epoch], None]:
    """A line for each epoch: hours pass."""
    return lambda epoch: print(f"{what}: epoch {epoch.epoch} of {recipe.epochs}, loss {epoch.loss:.3f}", flush=True)

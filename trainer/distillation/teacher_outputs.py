"""The teacher's outputs for each file, computed once and kept in a folder: embeddings, and hints for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import STEPS_PER_SECOND
from trainer.data.cache import VARIANTS
from trainer.data.corpora import Utterance
from trainer.distillation.soft_targets import FrameMap, fit_frame_map
from trainer.distillation.teacher import FRAME_S, RATE, WIDTH, WhisperEncoder, embedding, spoken
from undertone.acoustics.decode import load

FRAME_LAYERS = 3  # of four: the last is words more than voice (docs/research/experiments.md)
MAP_CLIPS = 400


@dataclass(frozen=True)
class TeacherOutputs:
    """Embeddings float32 [N, EMBEDDING]; steps: one [F / 4, FRAME_HINTS] float16 per file, NaN outside its speech."""

    embeddings: NDArray[np.float32]
    steps: list[NDArray[np.float16]]


class Teacher:
    """The teacher and a folder of its outputs; other files of a corpus make it encode them again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.encoder = folder, WhisperEncoder()

    def frame_map(self, utterances: Sequence[Utterance]) -> FrameMap:
        """Main axes of the teacher's frames in some of these files, of which no target speaker may be one."""
        kept = self.folder / "frame-map.npz"
        if kept.is_file():
            with np.load(kept, allow_pickle=False) as found:
                return FrameMap(*(found[name] for name in ("expected", "scale", "mean", "axes")))
        some = np.random.default_rng(0).permutation(len(utterances))[:MAP_CLIPS]
        frames = [_stacked(layers) for layers, _ in self._encode([utterances[i] for i in some], "clean")]
        found = fit_frame_map(frames)
        np.savez(kept, allow_pickle=False, **vars(found))
        return found

    def outputs(self, utterances: Sequence[Utterance], variant: str, frame_map: FrameMap) -> TeacherOutputs:
        """Its outputs for these files of one corpus, played as the variant says."""
        kept = self.folder / f"{utterances[0].corpus}-{variant}.npz"
        names = np.array([utterance.path.name for utterance in utterances])
        if kept.is_file():
            with np.load(kept, allow_pickle=False) as found:
                if np.array_equal(found["names"], names):
                    steps = np.split(found["steps"], np.cumsum(found["lengths"])[:-1])
                    return TeacherOutputs(np.asarray(found["embeddings"], np.float32), steps)
        embeddings, steps = [], []
        for layers, start in self._encode(utterances, variant):
            embeddings.append(embedding(layers))
            steps.append(_by_step(frame_map(_stacked(layers)), start))
        made = TeacherOutputs(np.array(embeddings, np.float16).astype(np.float32), steps)
        np.savez(
            kept,
            allow_pickle=False,
            names=names,
            embeddings=made.embeddings.astype(np.float16),
            steps=np.concatenate(steps),
            lengths=np.array([len(part) for part in steps]),
        )
        return made

    def _encode(self, utterances: Sequence[Utterance], variant: str) -> Iterator[tuple[NDArray[np.float32], float]]:
        for number, utterance in enumerate(utterances, start=1):
            samples = np.rint(load(utterance.path, RATE)[0].mean(axis=1)).astype(np.int16)
            speech, start = spoken(VARIANTS[variant](samples)[0])
            yield self.encoder.encode(speech), start
            if number % 200 == 0:
                print(f"teacher: {utterance.corpus}, {variant}: {number} of {len(utterances)}", flush=True)


def _stacked(layers: NDArray[np.float32]) -> NDArray[np.float32]:
    """[LAYERS, T, WIDTH] -> [T, FRAME_LAYERS x WIDTH]."""
    return layers[:FRAME_LAYERS].transpose(1, 0, 2).reshape(-1, FRAME_LAYERS * WIDTH)


def _by_step(hints: NDArray[np.float32], start_s: float) -> NDArray[np.float16]:
    """Hints [T, K] of every 20 ms from start_s on -> [S, K] of every 50 ms from 0 on, NaN before start_s."""
    step_s = 1 / STEPS_PER_SECOND
    steps = int((start_s + len(hints) * FRAME_S) / step_s)
    at = np.floor(((np.arange(steps) + 0.5) * step_s - start_s) / FRAME_S).astype(int)
    known = (at >= 0) & (at < len(hints))
    out = np.full((steps, hints.shape[1]), np.nan, np.float16)
    out[known] = hints[at[known]]
    return out

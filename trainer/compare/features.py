"""The features that people use, per clip: statistics for the classifiers, steps of 50 ms for the networks.

Both look at speech alone, from the gate's first to its last active frame (RAVDESS's clips hold 0.9 s of silence at
each end, which would be what a mean mostly sees). Everything of a clip depends on that clip only: normalisation is
the systems' own, on their training clips. Entries are cached by the file's bytes and the code that makes them.
"""

import hashlib
import importlib.util
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.card import FRAMES_PER_STEP, GateSpec
from trainer.data.cache import MAX_SECONDS, cache_folder, entry_of
from undertone import acoustics
from undertone.acoustics.decode import load
from undertone.acoustics.feature_stream import Frames, features_of
from undertone.acoustics.features import feature_size
from undertone.acoustics.frames import HOPS_PER_SECOND, hop_samples
from undertone.acoustics.gate import Gate
from undertone.acoustics.level import sum_squares

RATE = 16_000
# Raise it when a change in this file changes features; changes in acoustics are noticed by themselves.
REVISION = 1
# Sets of features by the names that people give them, and what acoustics calls their parts.
SETS: dict[str, tuple[str, ...]] = {
    "mfcc": ("mfcc",),
    "chroma": ("chroma",),
    "mel": ("logmel",),
    "contrast": ("contrast",),
    "tonnetz": ("tonnetz",),
    "pitch": ("pitch", "voiced"),
    "intensity": ("intensity",),
}
TOGETHER = "all"
# What most public notebooks feed a classifier: the means over the clip of 13 MFCC, 12 chroma and 64 mel values.
POPULAR = "mfcc+chroma+mel means"
EGEMAPS = "egemaps"
NETWORK_INPUT = "log-mel"  # what the shipped network takes; its front end makes it
PARTS = tuple(part for parts in SETS.values() for part in parts)
SIZES = {part: feature_size(part, RATE) for part in PARTS}

# Mean, deviation and mean step from frame to frame: with a linear SVM on RAVDESS 0.50 UAR, without the third 0.46,
# with quantiles in its place 0.47.
STATISTICS = 3
AFTER_SECONDS = (0.5, 1.0, 2.0, 3.0)  # of speech; a clip that ends before counts with all it has
# 99 of 100 utterances of the published corpora hold less speech; the rest are cut, so that one does not pad all.
MAX_STEPS = 160


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """One clip. D counts the statistics of all parts, F the values of all parts in a frame.

    `vectors`: float32 [len(AFTER_SECONDS) + 1, D], statistics after so much speech, last of all of it.
    `steps`: float16 [T, F], T at most MAX_STEPS. `egemaps`: float32 [88], or [0] without openSMILE.
    `recording`: sha256 of the samples. `speech_s`: seconds from the first to the last frame of speech.
    """

    vectors: NDArray[np.float32]
    steps: NDArray[np.float16]
    egemaps: NDArray[np.float32]
    recording: str
    speech_s: float


@dataclass(frozen=True, slots=True)
class Sequences:
    """Steps of every clip of the corpus, [n, T, d] with T a multiple of 8, and how many of each there are, [n]."""

    steps: NDArray[np.floating]
    lengths: NDArray[np.int64]

    def batch(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Steps [b, T, d] and mask [b, T] of these clips, float32."""
        lengths = np.maximum(self.lengths[rows], 1)
        steps = np.asarray(self.steps[rows], np.float32)
        return steps, (np.arange(steps.shape[1]) < lengths[:, None]).astype(np.float32)


def have_opensmile() -> bool:
    """Whether the optional package `opensmile` is installed."""
    found = importlib.util.find_spec("opensmile")
    return found is not None and found.origin is not None  # a mere folder of that name is no package


def set_names() -> tuple[str, ...]:
    """Every set of clip-level features that can be computed here."""
    return (*SETS, TOGETHER, POPULAR, *((EGEMAPS,) if have_opensmile() else ()))


def vector_columns(name: str) -> NDArray[np.intp]:
    """Columns of `vectors` that belong to a set other than eGeMAPS: statistic by statistic within each part."""
    wanted = PARTS if name == TOGETHER else ("mfcc", "chroma", "logmel") if name == POPULAR else SETS[name]
    kept: list[int] = []
    start = 0
    for part in PARTS:
        size = SIZES[part]
        if part in wanted:
            kept.extend(range(start, start + (size if name == POPULAR else STATISTICS * size)))
        start += STATISTICS * size
    return np.array(kept)


def step_columns(name: str) -> NDArray[np.intp]:
    """Columns of `steps` that belong to a set."""
    wanted = PARTS if name == TOGETHER else SETS[name]
    ends = np.cumsum([SIZES[part] for part in PARTS])
    return np.concatenate(
        [np.arange(end - SIZES[part], end) for part, end in zip(PARTS, ends, strict=True) if part in wanted]
    )


def clip_features(path: Path, *, egemaps: bool) -> ClipFeatures:
    """Features of one file, from the cache or made now.

    Raises:
        UserError: the file cannot be read, or is longer than a minute.
        OSError: the cache cannot be written.
    """
    folder = cache_folder() / "compare" / "features"
    entry = entry_of(folder, path.read_bytes(), f"{_code_version()} {egemaps}")
    if (kept := _read(entry)) is not None:
        return kept
    samples = np.rint(load(path, RATE, MAX_SECONDS)[0].mean(axis=1)).astype(np.int16)
    made = compute(samples, egemaps=egemaps)
    _write(entry, made)
    return made


def compute(samples: NDArray[np.int16], *, egemaps: bool = False) -> ClipFeatures:
    """Features of int16 [n] at 16 kHz."""
    hop = hop_samples(RATE)
    if len(samples) < hop:
        samples = np.pad(samples, (0, hop - len(samples)))
    frames = features_of(samples, RATE, PARTS)
    # In semitones a man's and a woman's voice move alike; unvoiced frames have no pitch.
    pitch = 12 * np.log2(np.maximum(frames["pitch"], 1) / 100)
    frames["pitch"] = np.where(frames["voiced"] > 0, pitch, 0).astype(np.float32)
    active = _active(samples, hop)
    spoken = np.flatnonzero(active)
    first, last = (spoken[0], spoken[-1] + 1) if len(spoken) else (0, len(active))
    lengths = [round(seconds * HOPS_PER_SECOND) for seconds in AFTER_SECONDS] + [last - first]
    vectors = [_statistics(frames, active, first, min(first + count, last)) for count in lengths]
    return ClipFeatures(
        np.stack(vectors),
        _steps(frames, first, last),
        _egemaps(samples) if egemaps else np.empty(0, np.float32),
        hashlib.sha256(samples.tobytes()).hexdigest(),
        float((last - first) / HOPS_PER_SECOND),
    )


def _active(samples: NDArray[np.int16], hop: int) -> NDArray[np.bool_]:
    count = len(samples) // hop
    gate = Gate(GateSpec())
    energies = sum_squares(samples[: count * hop].reshape(1, count, hop))
    return gate.step(energies, hop, gate.initial_state(1)).active[0]


def _statistics(frames: Frames, active: NDArray[np.bool_], first: int, last: int) -> NDArray[np.float32]:
    """Mean, deviation and mean absolute step of each column over active frames; of pitch over voiced ones: [D]."""
    speech = active[first:last] if active[first:last].any() else np.ones(last - first, np.bool_)
    found = []
    for part in PARTS:
        kept = speech & (frames["voiced"][first:last, 0] > 0) if part == "pitch" else speech
        values = frames[part][first:last][kept]
        if not len(values):
            values = np.zeros((1, frames[part].shape[1]), np.float32)
        moves = np.abs(np.diff(values, axis=0)).mean(axis=0) if len(values) > 1 else np.zeros_like(values[0])
        found += [values.mean(axis=0), values.std(axis=0), moves]
    return np.concatenate(found).astype(np.float32)


def _steps(frames: Frames, first: int, last: int) -> NDArray[np.float16]:
    """Means of four frames: float16 [T, F]. Fewer than four frames make one step."""
    joined = np.concatenate([frames[part][first:last] for part in PARTS], axis=1)
    count = min(len(joined) // FRAMES_PER_STEP, MAX_STEPS)
    if not count:
        return joined.mean(axis=0, keepdims=True).astype(np.float16)
    return joined[: count * FRAMES_PER_STEP].reshape(count, FRAMES_PER_STEP, -1).mean(axis=1).astype(np.float16)


@cache
def _smile() -> object:
    # Optional: its licence is for research alone, so it is no dependency of ours.
    import opensmile  # noqa: PLC0415

    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def _egemaps(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    table = _smile().process_signal(samples.astype(np.float32) / 32768, RATE)  # type: ignore[attr-defined]
    return np.nan_to_num(table.to_numpy()[0].astype(np.float32))


@cache
def _code_version() -> str:
    digest = hashlib.sha256(f"{REVISION} {np.__version__}".encode())
    for name in ("decode", "feature_stream", "features", "frames", "frontend", "gate", "pitch", "resample", "spectrum"):
        digest.update((Path(acoustics.__file__).parent / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _read(entry: Path) -> ClipFeatures | None:
    """A cache entry; None where there is none, or where it is damaged and is to be made anew."""
    try:
        with np.load(entry, allow_pickle=False) as kept:
            return ClipFeatures(
                kept["vectors"], kept["steps"], kept["egemaps"], str(kept["recording"]), float(kept["speech_s"])
            )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        entry.unlink(missing_ok=True)
        return None


def _write(entry: Path, made: ClipFeatures) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    draft = entry.with_suffix(f".{os.getpid()}.npz")
    np.savez(
        draft,
        vectors=made.vectors,
        steps=made.steps,
        egemaps=made.egemaps,
        recording=np.array(made.recording),
        speech_s=np.array(made.speech_s),
    )
    draft.replace(entry)


def stack_steps(clips: Sequence[ClipFeatures]) -> Sequences:
    """Steps of all clips, zeros behind their ends; in eights, which three halvings divide."""
    lengths = np.array([len(clip.steps) for clip in clips], np.int64)
    longest = -(-int(lengths.max()) // 8) * 8
    steps = np.zeros((len(clips), longest, clips[0].steps.shape[1]), np.float16)
    for row, clip in enumerate(clips):
        steps[row, : len(clip.steps)] = clip.steps
    return Sequences(steps, lengths)

"""Features of files, computed once: cached by the file's bytes, the front end and the code that made them.

They come from the worker's own front end and gate, block by block, so training sees what a live stream gives.
A cache entry is an .npz without pickle, written under another name and renamed, so a killed run leaves no half entry.
Its name begins with the hash of the file, so that what was made of a file can be found when that is to be forgotten.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.card import FrontEndSpec, GateSpec
from schemas.errors import UserError
from undertone import acoustics
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load
from undertone.acoustics.frames import block_samples, hop_samples
from undertone.acoustics.frontend import FrontEnd
from undertone.acoustics.gate import Gate
from undertone.acoustics.level import FULL_SCALE, sum_squares
from undertone.acoustics.resample import resampled

MAX_SECONDS = 60.0  # one example is one utterance; a whole call has no single label
_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Features:
    """What the network is given of one utterance of n frames, n a multiple of 20 (whole blocks, as in a stream).

    frames: float32 [n, n_mels]. raw: bool [n], above the gate's threshold. level_db: float32 [n], dBFS of each hop.
    recording: sha256 of the samples, equal for the same recording in another file.
    """

    frames: NDArray[np.float32]
    raw: NDArray[np.bool_]
    level_db: NDArray[np.float32]
    recording: str


def telephone(samples: NDArray[np.int16]) -> tuple[NDArray[np.int16], int]:
    """16 kHz samples as a telephone gives them: 8 kHz, mu-law. Returns int16 [n] and its rate."""
    blocks = [samples[:, None].astype(np.float32) / np.float32(FULL_SCALE)]
    narrow = np.concatenate(list(resampled(blocks, 1, _RATE, 8000)))[:, 0]
    return decode(encode(narrow, Encoding.PCMU), Encoding.PCMU), 8000


def clean(samples: NDArray[np.int16]) -> tuple[NDArray[np.int16], int]:
    """16 kHz samples as they are."""
    return samples, _RATE


def at_speed(samples: NDArray[np.int16], factor: float) -> tuple[NDArray[np.int16], int]:
    """Played faster or slower, so higher or lower too: another voice saying the same."""
    blocks = [samples[:, None].astype(np.float32) / np.float32(FULL_SCALE)]
    return np.concatenate(list(resampled(blocks, 1, round(_RATE * factor), _RATE)))[:, 0], _RATE


VARIANTS: dict[str, Callable[[NDArray[np.int16]], tuple[NDArray[np.int16], int]]] = {
    "clean": clean,
    "telephone": telephone,
    "slower": partial(at_speed, factor=0.9),
    "faster": partial(at_speed, factor=1.1),
}


def cache_folder() -> Path:
    """$UNDERTONE_CACHE_DIR, else undertone/ in $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("UNDERTONE_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "undertone"


def entry_of(folder: Path, content: bytes, kind: str) -> Path:
    """Where the cache `folder` keeps what was made of a file's content; `kind` is all else that it depends on."""
    file, made = hashlib.sha256(content).hexdigest(), hashlib.sha256(kind.encode()).hexdigest()
    return folder / file[:2] / f"{file}-{made[:32]}.npz"


def forget_file(file: str) -> int:
    """Delete what any cache holds of the file whose content has this SHA-256. Returns how many entries that were.

    Raises:
        UserError: one cannot be deleted.
    """
    entries = [
        entry
        for folder in (cache_folder() / "features", cache_folder() / "compare" / "features")
        for entry in (folder / file[:2]).glob(f"{file}-*")
    ]
    try:
        for entry in entries:
            entry.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{cache_folder()}: cannot delete features there ({error.strerror})") from None
    return len(entries)


def cached_features(
    paths: Sequence[Path],
    front_end: FrontEndSpec,
    gate: GateSpec,
    *,
    variant: str = "clean",
    progress: Callable[[int, int], None] | None = None,
    processes: int | None = None,
) -> tuple[list[Features | None], list[str]]:
    """Features of every file, in order; None where a file cannot be read, and one line for each of those.

    Args:
        paths: any audio that libsndfile reads, up to a minute; of several channels the mean is taken.
        variant: a key of VARIANTS: what happens to the sound first.
        progress: called with (files done, files in all).
        processes: default: one for each processor.

    Raises:
        UserError: the cache folder cannot be written.
    """
    folder = cache_folder() / "features"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot keep features there ({error.strerror}); set UNDERTONE_CACHE_DIR") from None
    kind = _kind(front_end, gate, variant)
    work = partial(_cached, folder=folder, kind=kind, front_end=front_end, gate=gate, variant=variant)
    count = min(processes or os.cpu_count() or 1, 1 + len(paths) // 50)
    found: list[Features | None] = []
    errors: list[str] = []
    for result in _mapped(work, paths, count):
        if isinstance(result, str):
            errors.append(result)
        found.append(None if isinstance(result, str) else result)
        if progress:
            progress(len(found), len(paths))
    return found, errors


def _mapped(work: Callable[[Path], Features | str], paths: Iterable[Path], processes: int) -> Iterator[Features | str]:
    if processes == 1:
        yield from map(work, paths)
        return
    # Not fork: a parent that has TensorFlow's threads running can hang its forked children.
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(work, paths, chunksize=16)


def _cached(
    path: Path, *, folder: Path, kind: str, front_end: FrontEndSpec, gate: GateSpec, variant: str
) -> Features | str:
    try:
        entry = entry_of(folder, path.read_bytes(), kind)
    except OSError as error:
        return f"{path}: {error.strerror}"
    if (kept := _read(entry)) is not None:
        return kept
    try:
        samples = load(path, _RATE, MAX_SECONDS)[0]
    except UserError as error:
        return str(error)
    computed = compute(np.rint(samples.mean(axis=1)).astype(np.int16), front_end, gate, variant)
    try:
        _write(entry, computed)
    except OSError as error:
        raise UserError(f"{entry.parent}: cannot keep features there ({error.strerror})") from None
    return computed


def compute(samples: NDArray[np.int16], front_end: FrontEndSpec, gate: GateSpec, variant: str = "clean") -> Features:
    """Features of int16 [n] at 16 kHz, not cached."""
    sound, rate = VARIANTS[variant](samples)
    built = FrontEnd(front_end)
    windows = built.frames_of(sound, rate)
    frames = windows[:, front_end.context_frames :].reshape(-1, front_end.n_mels)
    return Features(frames, *_gated(sound, rate, gate), hashlib.sha256(samples.tobytes()).hexdigest())


def _gated(samples: NDArray[np.int16], rate: int, spec: GateSpec) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Frames above the gate's threshold, and the level of each hop, over whole blocks as in a stream."""
    whole = np.zeros(-(-samples.size // block_samples(rate)) * block_samples(rate), np.int16)
    whole[: samples.size] = samples
    gate, hop = Gate(spec), hop_samples(rate)
    decision = gate.step(sum_squares(whole.reshape(1, -1, hop)), hop, gate.initial_state(1))
    return decision.raw[0], decision.level_db[0].astype(np.float32)


def _kind(front_end: FrontEndSpec, gate: GateSpec, variant: str) -> str:
    """Everything but the audio that features depend on; it goes into each entry's name."""
    return "\n".join((front_end.model_dump_json(), gate.model_dump_json(), variant, _code_version()))


@cache
def _code_version() -> str:
    """Hash of the sources that make features: a changed front end must not meet features of the old one."""
    digest = hashlib.sha256(f"{version('numpy')} {version('librosa')}".encode())
    for source in sorted((*Path(acoustics.__file__).parent.glob("*.py"), Path(__file__))):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _read(entry: Path) -> Features | None:
    """A cache entry; None where there is none, or where it is damaged and is to be made anew."""
    try:
        with np.load(entry, allow_pickle=False) as arrays:
            return Features(arrays["frames"], arrays["raw"], arrays["level_db"], str(arrays["recording"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        entry.unlink(missing_ok=True)
        return None


def _write(entry: Path, features: Features) -> None:
    entry.parent.mkdir(exist_ok=True)
    draft = entry.with_suffix(f".{os.getpid()}.npz")
    arrays = {"frames": features.frames, "raw": features.raw, "level_db": features.level_db}
    np.savez(draft, allow_pickle=False, recording=np.array(features.recording), **arrays)
    draft.replace(entry)

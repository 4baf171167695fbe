"""Audio files to blocks of samples, in constant memory: whatever libsndfile reads (WAV, FLAC, MP3, Ogg, Opus ...).

A file that cannot be read to its end raises `UserError` with one line that names it; what came before was yielded.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.errors import UserError
from undertone.acoustics.resample import HIGHEST_RATE, LOWEST_RATE, resampled, target_rate

MAX_CHANNELS = 8
SUFFIXES = frozenset((".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"))

# libsndfile's log of a WAV, AIFF or AU file whose header promises more bytes than there are.
_SHORT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
# Writers to a pipe cannot know the length and put a number near 2^31 or 2^32 there.
_UNKNOWN_BYTES = 2**31 - 2**16


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a file's header says. `frames` counts samples per channel at the file's own `rate`; None if unknown."""

    path: Path
    rate: int
    channels: int
    frames: int | None

    @property
    def seconds(self) -> float | None:
        """Duration, None if the header does not tell."""
        return None if self.frames is None else self.frames / self.rate


def expand(paths: Iterable[Path]) -> list[Path]:
    """Files as given, and each directory's audio files (by suffix, at any depth, sorted, hidden ones left out).

    Raises:
        UserError: a directory holds no audio file. A missing file is left to the reader to report.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(_audio_files(path))
        if not inside:
            raise UserError(f"{path}: no audio files in this directory ({', '.join(sorted(SUFFIXES))})")
        found.extend(inside)
    return found


def probe(path: Path) -> AudioInfo:
    """Read the header.

    Raises:
        UserError: missing, a directory, not a regular file, not audio, empty, more than 8 channels, or a sample rate
            outside 4 to 384 kHz.
    """
    with _open(path) as file:
        return _info(path, file)


def read_blocks(path: Path, rate: int | None = None) -> Iterator[NDArray[np.int16]]:
    """The samples, int16 [n, channels], about a second at a time, at `target_rate(probe(path).rate, rate)` Hz.

    Raises:
        UserError: as `probe`, when the first block is asked for; damaged or truncated data, when they are reached.
    """
    with _open(path) as file:
        info = _info(path, file)
        blocks = _float_blocks(info, file)
        yield from resampled(blocks, info.channels, info.rate, target_rate(info.rate, rate))


def load(path: Path, rate: int | None = None, max_seconds: float = 600.0) -> tuple[NDArray[np.int16], int]:
    """A whole short file: int16 [n, channels] and its rate.

    Raises:
        UserError: as `read_blocks`; longer than `max_seconds`, before more than that is held.
    """
    info = probe(path)
    wanted = target_rate(info.rate, rate)
    blocks: list[NDArray[np.int16]] = []
    held = 0
    for block in read_blocks(path, rate):
        held += len(block)
        if held > max_seconds * wanted:
            raise UserError(f"{path}: longer than {max_seconds:g} s, too long to be one example")
        blocks.append(block)
    return np.concatenate(blocks), wanted


def _audio_files(directory: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder) / name


def _open(path: Path) -> soundfile.SoundFile:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    # A pipe or a device would block, or never end.
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path}: not a regular file; give an audio file, or `-` for PCM on standard input")
    if status.st_size == 0:
        raise UserError(f"{path}: empty file")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        # TypeError: soundfile asks for the sample rate of a file that is named .raw.
        raise UserError(f"{path}: not readable as audio ({_reason(error)})") from error


def _info(path: Path, file: soundfile.SoundFile) -> AudioInfo:
    if file.frames == 0:
        raise UserError(f"{path}: holds no samples")
    if file.channels > MAX_CHANNELS:
        raise UserError(f"{path}: {file.channels} channels, at most {MAX_CHANNELS} are read")
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise UserError(f"{path}: sample rate {file.samplerate} Hz is not between {LOWEST_RATE} and {HIGHEST_RATE}")
    # libsndfile gives 2^63 - 1 where the length is unknown.
    return AudioInfo(path, file.samplerate, file.channels, file.frames if file.frames < 2**62 else None)


def _float_blocks(info: AudioInfo, file: soundfile.SoundFile) -> Iterator[NDArray[np.float32]]:
    count = 0
    while True:
        try:
            block = file.read(info.rate, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError) as error:
            raise UserError(f"{info.path}: damaged after {count / info.rate:.2f} s ({_reason(error)})") from error
        if not len(block):
            break
        if not np.isfinite(block).all():
            raise UserError(
                f"{info.path}: samples that are no numbers (NaN or infinite) after {count / info.rate:.2f} s"
            )
        count += len(block)
        yield block
    short = _SHORT.search(file.extra_info)
    cut = short is not None and int(short[2]) < int(short[1]) < _UNKNOWN_BYTES
    if cut or (info.frames is not None and count < info.frames):
        raise UserError(f"{info.path}: truncated, ends after {count / info.rate:.2f} s")


def _reason(error: Exception) -> str:
    """The last part of a library's message, on one line."""
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")

"""What can be played: audio files, the files of a directory, and PCM on standard input."""

import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.errors import UserError
from undertone.acoustics.decode import expand, probe, read_blocks
from undertone.acoustics.pcm import read_pcm
from undertone.acoustics.resample import target_rate

STDIN = "-"
Rate = Literal[8000, 16000]


@dataclass(frozen=True, slots=True)
class Recording:
    """An open source. `blocks` yields int16 [n, channels] at `rate` Hz and raises UserError where it is damaged.

    `seconds` is None where the length is unknown; `live` means that samples come as somebody speaks.
    """

    name: str
    rate: Rate
    channels: int
    seconds: float | None
    blocks: Iterator[NDArray[np.int16]]
    live: bool = False

    def close(self) -> None:
        """Close the file behind it."""
        close = getattr(self.blocks, "close", None)
        if close:
            close()


def find(paths: Sequence[str]) -> list[str]:
    """The sources that `paths` name: directories become their audio files, `-` stays.

    Raises:
        UserError: a directory without audio, or `-` beside other sources.
    """
    if STDIN in paths:
        if len(paths) > 1:
            raise UserError("`-` (PCM on standard input) stands alone: send files by another command")
        return [STDIN]
    return [str(path) for path in expand(Path(path) for path in paths)]


def open_file(path: str, rate: Rate | None) -> Recording:
    """Open an audio file, to be read at `rate` Hz, else at its own if 8 or 16 kHz, else at the nearest below.

    Raises:
        UserError: it is missing, empty or no audio.
    """
    info = probe(Path(path))
    wanted = cast(Rate, target_rate(info.rate, rate))
    return Recording(path, wanted, info.channels, info.seconds, read_blocks(Path(path), wanted))


def open_stdin(
    rate: Rate | None, channels: int, encoding: Encoding, stopping: Callable[[], bool] = lambda: False
) -> Recording:
    """Headerless PCM on standard input: little-endian for `l16`, else G.711; interleaved where `channels` > 1.

    Without a `rate` it is taken for 8000 Hz in G.711, as telephony has it, and 16000 Hz in L16. Once `stopping()` is
    true the input is at its end, also in the middle of a silence on the pipe.

    Raises:
        UserError: standard input is a terminal.
    """
    if sys.stdin.isatty():
        raise UserError("`-` reads PCM from standard input, which is a terminal: pipe audio into it")
    own: Rate = rate or (16000 if encoding is Encoding.L16 else 8000)
    name = cast(Literal["l16", "pcmu", "pcma"], encoding.value)
    pipe = cast(BinaryIO, _Pipe(sys.stdin.fileno(), stopping))
    return Recording("stdin", own, channels, None, read_pcm(pipe, own, channels, name), live=True)


class _Pipe:
    """Reads a file descriptor without being stuck in a read when it is time to stop."""

    def __init__(self, descriptor: int, stopping: Callable[[], bool]) -> None:
        self._descriptor = descriptor
        self._stopping = stopping

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end of the input, none where it was stopped."""
        data = bytearray()
        while len(data) < size:
            # A signal's handler does not end a system call that Python waits in: look up four times a second.
            if not select.select([self._descriptor], [], [], 0.25)[0]:
                if self._stopping():
                    return b""
                continue
            more = os.read(self._descriptor, size - len(data))
            if not more:
                break
            data += more
        return bytes(data)

"""Recordings through the engine, one after the other: the same chunks that a producer would send, without Kafka."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from schemas.audio import AudioChunk, Encoding
from schemas.errors import UserError
from schemas.events import Segment, Summary, Update
from schemas.streams import Voice, call_ids, voices
from undertone.acoustics.chunks import Piece, chunks_of, of_call, pieces
from undertone.acoustics.sources import STDIN, Rate, Recording, find, open_file, open_stdin
from undertone.inference.engine import Engine
from undertone.inference.model import Model

# Events do not depend on it, but chunks have one; a constant gives the same event ids each time.
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AnalyzeOptions:
    """How recordings become streams, as for `undertone produce`; None: what the recording has, or the default."""

    roles: str | None = None
    encoding: Encoding = Encoding.L16
    rate: Rate | None = None
    chunk_ms: int = 500
    analyze_agent: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One recording as a call: `voices` are its channels, left to right."""

    name: str
    call_id: str
    rate: Rate
    seconds: float | None
    voices: tuple[Voice, ...]


class Sink(Protocol):
    """Who takes the events. Calls come one after the other, each: begin, any number of add, end."""

    def begin(self, call: Call) -> None:
        """A recording begins."""

    def add(self, chunks: Sequence[AudioChunk], events: Sequence[Update | Segment | Summary]) -> None:
        """A piece of it, one chunk per channel, and the events up to its end."""

    def end(self) -> None:
        """The recording has ended."""

    def skip(self, problem: str) -> None:
        """A recording could not be read, or not to its end; one line says which and why."""


def analyze(paths: Sequence[str], model: Model, options: AnalyzeOptions, sink: Sink) -> int:
    """Run every recording of `paths` through the engine (files, directories, or `-` for PCM on standard input).

    A recording that cannot be read is given to `sink.skip`; one that is damaged is analysed up to there, then skipped.

    Returns:
        The number of recordings that were skipped.

    Raises:
        UserError: a directory without audio, or `-` beside other sources.
    """
    names = find(paths)
    skipped = 0
    for name, call_id in zip(names, call_ids("stdin" if name == STDIN else name for name in names), strict=True):
        try:
            recording = _open(name, options)
            call = Call(name, call_id, recording.rate, recording.seconds, voices(options.roles, recording.channels))
            _run(recording, call, Engine(model, analyze_agent=options.analyze_agent), options, sink)
        except UserError as error:
            skipped += 1
            problem = str(error)
            sink.skip(problem if problem.startswith(name) else f"{name}: {problem}")
    return skipped


def _open(name: str, options: AnalyzeOptions) -> Recording:
    if name == STDIN:
        channels = options.roles.count(",") + 1 if options.roles else 1
        return open_stdin(options.rate, channels, options.encoding)
    return open_file(name, options.rate)


def _run(recording: Recording, call: Call, engine: Engine, options: AnalyzeOptions, sink: Sink) -> None:
    begun = False
    for piece in _whole(recording, recording.rate * options.chunk_ms // 1000):
        if not begun:
            sink.begin(call)
            begun = True
        unnamed = chunks_of(piece, call.voices, recording.rate, options.encoding)
        chunks = [of_call(chunk, call.call_id, _START) for chunk in unnamed]
        sink.add(chunks, [envelope.data for envelope in engine.feed(chunks).events])
        if piece.last:
            sink.end()


def _whole(recording: Recording, size: int) -> Iterator[Piece]:
    """The recording's pieces; a damaged one ends where a producer would end its streams, then raises."""
    last: Piece | None = None
    try:
        for last in pieces(recording.blocks, size, recording.channels, live=recording.live):
            if last.last and last.first_sample == 0 and not len(last.samples):
                raise UserError("there is no audio in it")
            yield last
    except UserError:
        if last is not None and not last.last:
            nothing = np.empty((0, recording.channels), np.int16)
            yield Piece(last.sequence + 1, last.first_sample + len(last.samples), nothing, True)
        raise
    finally:
        recording.close()

"""Samples to chunks: cut a recording into equal pieces, and write each piece as one chunk per channel."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding
from schemas.streams import Voice
from undertone.acoustics.codecs import encode

# Stands in the chunks of a piece until they are sent under a call's own id and start.
_NO_CALL = "call"
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """`samples` int16 [n, channels], where n may be 0 for the last piece; `first_sample` is its place."""

    sequence: int
    first_sample: int
    samples: NDArray[np.int16]
    last: bool


def pieces(blocks: Iterable[NDArray[np.int16]], size: int, channels: int, *, live: bool = False) -> Iterator[Piece]:
    """Cut blocks of any lengths, int16 [n, channels], into pieces of `size` samples; at least one comes.

    A full piece is held back until a sample behind it or the end is seen, so that the last piece knows that it is
    the last. A `live` source would wait one piece too long for that: there the end is a piece without samples
    where nothing else remains.
    """
    rest = np.empty((0, channels), np.int16)
    sequence = 0
    for block in blocks:
        rest = np.concatenate((rest, block)) if len(rest) else block
        start = 0
        while len(rest) - start > size or (live and len(rest) - start == size):
            yield Piece(sequence, sequence * size, rest[start : start + size], False)
            sequence += 1
            start += size
        rest = rest[start:]
    yield Piece(sequence, sequence * size, rest, True)


def chunks_of(
    piece: Piece, voices: tuple[Voice, ...], rate: Literal[8000, 16000], encoding: Encoding
) -> tuple[AudioChunk, ...]:
    """One chunk per channel of `piece`, left to right, still without the call's id and start time."""
    return tuple(
        AudioChunk(
            call_id=_NO_CALL,
            channel=voice.channel,
            role=voice.role,
            sequence=piece.sequence,
            first_sample=piece.first_sample,
            start_time=_NO_TIME,
            encoding=encoding,
            sample_rate=rate,
            audio=encode(np.ascontiguousarray(piece.samples[:, i]), encoding),
            end_of_stream=piece.last,
        )
        for i, voice in enumerate(voices)
    )


def of_call(chunk: AudioChunk, call_id: str, start_time: datetime, traceparent: str | None = None) -> AudioChunk:
    """The same chunk as part of call `call_id`, which began at `start_time`; all are valid already."""
    return chunk.model_copy(update={"call_id": call_id, "start_time": start_time, "traceparent": traceparent})

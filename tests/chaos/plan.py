"""What is said in a disturbed run: calls made from the project's own samples, the same for the same seed.

Producer and verifier both make them, so nothing but a few numbers passes between the two.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding
from tests.support.streams import cut, load

START = datetime(2026, 1, 1, tzinfo=UTC)
_VOICES = {8000: (("call.flac", 1), ("call.flac", 0), ("phone.wav", 0)), 16000: (("angry.flac", 0), ("calm.flac", 0))}
_ENCODINGS = {8000: tuple(Encoding), 16000: (Encoding.L16, Encoding.L16LE)}
# Short chunks: many transactions' worth of them, and little audio.
_CHUNK_MS = (30, 50, 70, 90)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is said, and the seed of how."""

    seed: int
    calls: int
    chunks: int

    def streams(self) -> dict[str, list[AudioChunk]]:
        """Every stream's chunks by its name."""
        sizes = [self.chunks // self.calls + (number < self.chunks % self.calls) for number in range(self.calls)]
        made = (_call(self.seed, number, size) for number, size in enumerate(sizes))
        return {chunks[0].stream: chunks for chunks in made if chunks}

    def in_turn(self) -> Iterator[AudioChunk]:
        """All chunks in the order of their sending: calls begin at different times and go on side by side."""
        choose = random.Random(self.seed)
        streams = list(self.streams().values())
        # A third of the calls is under way at once, as in an hour in which people call and hang up.
        begin = [choose.uniform(0, 2.0) for _ in streams]
        timed = (
            (begin[number] + index / max(len(chunks), 1), number, chunk)
            for number, chunks in enumerate(streams)
            for index, chunk in enumerate(chunks)
        )
        for _, _, chunk in sorted(timed, key=lambda entry: entry[:2]):
            yield chunk


def _call(seed: int, number: int, size: int) -> list[AudioChunk]:
    """One call of `size` chunks: words and silences of one voice at a loudness of its own."""
    choose = random.Random(f"{seed} {number}")
    rate = choose.choice((8000, 8000, 16000))
    lengths = [choose.choice(_CHUNK_MS) * rate // 1000 for _ in range(size)]
    voice = choose.choice(voices(rate))
    start = choose.randrange(len(voice))
    samples = np.resize(np.roll(voice, -start), sum(lengths))
    samples = (samples * choose.uniform(0.4, 1.0)).astype(np.int16)
    cuts = iter(lengths)
    return cut(
        samples,
        rate,
        lambda: next(cuts),
        call_id=f"call-{number:05d}",
        encoding=choose.choice(_ENCODINGS[rate]),
        start=START + timedelta(seconds=number),
    )


@cache
def voices(rate: int) -> list[NDArray[np.int16]]:
    """The voices of a rate, each with a second of silence behind it, so that utterances end."""
    made = []
    for name, channel in _VOICES[rate]:
        samples, found = load(name, channel)
        if found != rate:
            raise ValueError(f"{name} has {found} Hz, not {rate}")
        made.append(np.concatenate([samples, np.zeros(rate, np.int16)]))
    return made


def first_chunks(chunks: list[AudioChunk], before: int) -> list[AudioChunk]:
    """A stream's chunks up to sequence number `before`."""
    return list(itertools.takewhile(lambda chunk: chunk.sequence < before, chunks))

"""Files through the engine, many at once: the prediction for each at its end, and after so much speech."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from schemas.audio import MAX_CHUNK_SECONDS, AudioChunk, Encoding
from schemas.errors import UserError
from schemas.events import Segment, Summary, Update
from schemas.streams import voices
from undertone.acoustics.chunks import chunks_of, of_call, pieces
from undertone.acoustics.decode import probe, read_blocks
from undertone.acoustics.resample import target_rate
from undertone.inference.engine import Engine
from undertone.inference.model import Model, softmax

# Two of the network's largest batches: some streams are silent while others speak.
AT_ONCE = 64
AFTER_S = (0.5, 1.0, 2.0, 3.0)
# The engine's own bound for probabilities whose logarithm is summed.
_SMALLEST = 1e-9
_CUSTOMER = voices("customer", 1)
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Band(StrEnum):
    """What the files pass through first: nothing, or 8 kHz mu-law as on a telephone line."""

    CLEAN = "clean"
    TELEPHONE = "telephone"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one file.

    `final` is the summary's probability of each of the model's labels, None where no speech was found; `after` the
    same after AFTER_S seconds of speech, which is `final` where the file has less.
    """

    speech_s: float
    final: NDArray[np.float64] | None
    after: tuple[NDArray[np.float64] | None, ...]


def predict_files(
    files: Sequence[Path], model: Model, band: Band = Band.CLEAN
) -> Iterator[tuple[int, Prediction | UserError]]:
    """(index, prediction) of each file as it is done, in no fixed order; a `UserError` in place of an unreadable one's.

    Memory is that of 64 files' chunks of 10 s, however long and many the files are.
    """
    engine = Engine(_with_updates_each_block(model))
    waiting = iter(enumerate(files))
    chunks: dict[int, Iterator[AudioChunk]] = {}
    progress: dict[int, _Progress] = {}
    while True:
        while len(chunks) < AT_ONCE and (following := next(waiting, None)):
            index, path = following
            chunks[index], progress[index] = _chunks(path, str(index), band), _Progress(model.card.labels)
        if not chunks:
            return
        batch = []
        for index, source in list(chunks.items()):
            try:
                batch.append(next(source))
            except UserError as error:
                del chunks[index], progress[index]
                yield index, error
        for envelope in engine.feed(batch).events:
            index = int(envelope.data.call_id)
            prediction = progress[index].add(envelope.data)
            if prediction:
                del chunks[index], progress[index]
                yield index, prediction


def _chunks(path: Path, call_id: str, band: Band) -> Iterator[AudioChunk]:
    """A file as one stream of 10 s chunks; its channels, if there are several, are averaged."""
    telephone = band is Band.TELEPHONE
    rate = cast(Literal[8000, 16000], 8000 if telephone else target_rate(probe(path).rate))
    mono = (np.rint(block.mean(axis=1, keepdims=True)).astype(np.int16) for block in read_blocks(path, rate))
    for piece in pieces(mono, MAX_CHUNK_SECONDS * rate, 1):
        for chunk in chunks_of(piece, _CUSTOMER, rate, Encoding.PCMU if telephone else Encoding.L16LE):
            yield of_call(chunk, call_id, _START)


def _with_updates_each_block(model: Model) -> Model:
    # Updates cost nothing but their JSON, and finer ones tell better what was said after one second.
    spec = model.card.segments.model_copy(update={"update_ms": 250})
    return model.with_card(model.card.model_copy(update={"segments": spec}))


@dataclass
class _Progress:
    """What one file's events have said so far.

    A summary is the mean of its segments' log-probabilities, weighted by their speech; so is a prediction on the way,
    with the open segment as the last one.
    """

    labels: tuple[str, ...]
    speech_s: float = 0.0
    total: NDArray[np.float64] = field(init=False)
    path: list[tuple[float, NDArray[np.float64]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total = np.zeros(len(self.labels))

    def add(self, event: Update | Segment | Summary) -> Prediction | None:
        """Follow one event; the prediction, once the stream has ended."""
        if isinstance(event, Summary):
            final = self._array(event) if event.probabilities else None
            return Prediction(
                event.speech_s, final, tuple(self._after(seconds, event.speech_s, final) for seconds in AFTER_S)
            )
        speech_s = self.speech_s + event.speech_s
        total = self.total + event.speech_s * np.log(np.maximum(self._array(event), _SMALLEST))
        if self.speech_s <= AFTER_S[-1]:
            self.path.append((speech_s, softmax(total / speech_s)))
        if isinstance(event, Segment):
            self.speech_s, self.total = speech_s, total
        return None

    def _after(self, seconds: float, speech_s: float, final: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """The prediction nearest to `seconds` of speech: blocks are 250 ms long, so at most 125 ms from it."""
        if speech_s < seconds or not self.path:
            return final
        return min(self.path, key=lambda step: abs(step[0] - seconds))[1]

    def _array(self, event: Update | Segment | Summary) -> NDArray[np.float64]:
        return np.array([event.probabilities[label] for label in self.labels])

"""Files through the engine, many at once: the prediction for each at its end, and after so much speech.

Each file is a stream of its own, or one of several that make a call.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from undertone.acoustics.frames import hop_samples
from undertone.acoustics.resample import target_rate
from undertone.inference.engine import Engine
from undertone.inference.model import Model, softmax

# Two of the network's largest batches: some streams are silent while others speak.
AT_ONCE = 64
AFTER_S = (0.5, 1.0, 2.0, 3.0)
# What lies between two files of a call. The segments of the one have ended before the other begins.
PAUSE_S = 1
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


@dataclass
class Call:
    """A call on its way through the engine: where its files begin in its stream, and which could not be read."""

    number: int
    files: Sequence[Path]
    starts: list[int] = field(default_factory=list)  # first sample of each file that was begun
    unreadable: dict[int, UserError] = field(default_factory=dict)

    def file_of(self, event: Update | Segment) -> int:
        """Which of the call's files an utterance lies in; it begins with a hop, whose front may lie before the file."""
        return bisect_right(self.starts, event.start_sample + hop_samples(event.sample_rate) - 1) - 1


# Whoever wants the events, too.
Also = Callable[[Call, Update | Segment | Summary], None]


def predict_files(
    files: Sequence[Path], model: Model, band: Band = Band.CLEAN
) -> Iterator[tuple[int, Prediction | UserError]]:
    """(index, prediction) of each file as it is done, in no fixed order; a `UserError` in place of an unreadable one's.

    Memory is that of 64 files' chunks of 10 s, however long and many the files are.
    """
    for number, (prediction,) in predict_calls([[path] for path in files], model, band):
        yield number, prediction


def predict_calls(
    calls: Sequence[Sequence[Path]], model: Model, band: Band = Band.CLEAN, also: Also | None = None
) -> Iterator[tuple[int, list[Prediction | UserError]]]:
    """(index, a prediction for each of its files) of each call as it is done, in no fixed order.

    A call's files are heard one after the other, with a second of silence between, as one stream; a file's prediction
    is made of the utterances that begin in it.

    Args:
        also: called with each event and its call, the last one a summary; updates are 250 ms apart.
    """
    labels = model.card.labels
    progress: dict[int, list[_Progress]] = {}
    for call, event in hear(calls, _with_updates_each_block(model), band):
        if also:
            also(call, event)
        files = progress.setdefault(call.number, [_Progress(labels) for _ in call.files])
        if isinstance(event, Summary):
            # Alone, a file's prediction is its summary's, which rests on more digits than the events tell.
            exact = event if len(files) == 1 else None
            yield call.number, [call.unreadable.get(n) or one.prediction(exact) for n, one in enumerate(files)]
            del progress[call.number]
        else:
            files[call.file_of(event)].add(event)


def hear(
    calls: Iterable[Sequence[Path]], model: Model, band: Band
) -> Iterator[tuple[Call, Update | Segment | Summary]]:
    """Every call through the engine, 64 at a time: the events as they come, each call's last one its summary."""
    engine = Engine(model)
    waiting = (Call(number, files) for number, files in enumerate(calls))
    heard: dict[int, Call] = {}
    chunks: dict[int, Iterator[AudioChunk]] = {}
    while True:
        while len(heard) < AT_ONCE and (call := next(waiting, None)):
            heard[call.number], chunks[call.number] = call, chunks_of_call(call, band)
        if not heard:
            return
        for envelope in engine.feed([next(source) for source in chunks.values()]).events:
            event = envelope.data
            yield heard[int(event.call_id)], event
            if isinstance(event, Summary):
                del heard[int(event.call_id)], chunks[int(event.call_id)]


def chunks_of_call(call: Call, band: Band) -> Iterator[AudioChunk]:
    """A call as one stream of 10 s chunks."""
    telephone = band is Band.TELEPHONE
    rate: Literal[8000, 16000] = 8000 if telephone else _rate_of(call.files)
    for piece in pieces(_samples(call, rate), MAX_CHUNK_SECONDS * rate, 1):
        for chunk in chunks_of(piece, _CUSTOMER, rate, Encoding.PCMU if telephone else Encoding.L16LE):
            yield of_call(chunk, str(call.number), _START)


def _samples(call: Call, rate: int) -> Iterator[NDArray[np.int16]]:
    """The files' samples [n, 1] and the silence between them; channels, if there are several, are averaged."""
    position = 0
    for number, path in enumerate(call.files):
        if position:
            yield np.zeros((PAUSE_S * rate, 1), np.int16)
            position += PAUSE_S * rate
        call.starts.append(position)
        try:
            for block in read_blocks(path, rate):
                yield np.rint(block.mean(axis=1, keepdims=True)).astype(np.int16)
                position += len(block)
        except UserError as error:
            call.unreadable[number] = error


def _rate_of(files: Sequence[Path]) -> Literal[8000, 16000]:
    """The rate of the first file that tells one: a stream has one rate, and the others are resampled to it."""
    for path in files:
        try:
            return cast(Literal[8000, 16000], target_rate(probe(path).rate))
        except UserError:
            continue  # it is named when it is read
    return 16000


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

    def add(self, event: Update | Segment) -> None:
        """Follow one event."""
        speech_s = self.speech_s + event.speech_s
        total = self.total + event.speech_s * np.log(np.maximum(self._array(event), _SMALLEST))
        if self.speech_s <= AFTER_S[-1]:
            self.path.append((speech_s, softmax(total / speech_s)))
        if isinstance(event, Segment):
            self.speech_s, self.total = speech_s, total

    def prediction(self, summary: Summary | None = None) -> Prediction:
        """The prediction, once the file has ended; `summary` of its stream, where it has one to itself."""
        final = softmax(self.total / self.speech_s) if self.speech_s else None
        if summary and final is not None:
            final = self._array(summary)
        return Prediction(self.speech_s, final, tuple(self._after(seconds, final) for seconds in AFTER_S))

    def _after(self, seconds: float, final: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """The prediction nearest to `seconds` of speech: blocks are 250 ms long, so at most 125 ms from it."""
        if self.speech_s < seconds or not self.path:
            return final
        return min(self.path, key=lambda step: abs(step[0] - seconds))[1]

    def _array(self, event: Update | Segment | Summary) -> NDArray[np.float64]:
        return np.array([event.probabilities[label] for label in self.labels])

"""One call's channel through the engine, for programs that hold samples and want events: no Kafka, no chunks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from schemas.audio import MAX_CHUNK_SECONDS, AudioChunk, CallId, Channel, Encoding, Role, StartTime
from schemas.events import EventEnvelope
from undertone.acoustics.codecs import encode
from undertone.acoustics.frames import RATES
from undertone.inference.engine import Engine
from undertone.inference.model import Model

_NO_START = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = "letters, digits and ._:@+-, the first a letter or digit, at most"


class CallStream:
    """What one speaker says, fed piece by piece as it comes in; its events are those of `undertone analyze`.

        with CallStream(Model.load(), sample_rate=8000) as call:
            for samples in source:
                for event in call.feed(samples):
                    print(event.data.label)
            summary = call.end()[-1].data

    Where the pieces are cut changes nothing. Streams may share a model, but not feed from two threads at once.
    """

    def __init__(
        self,
        model: Model,
        sample_rate: int = 8000,
        *,
        call_id: str = "call",
        channel: str = "customer",
        start_time: datetime = _NO_START,
    ) -> None:
        """Begin a stream.

        Args:
            model: `Model.load()` for the bundle that ships, `Model.load(path)` for another.
            sample_rate: 8000 or 16000 Hz; other sound is resampled before it is fed.
            call_id: names the call in the events and in their ids.
            channel: names the speaker's side of it.
            start_time: the moment of the first sample, with a zone; events are dated by it.

        Raises:
            ValueError: an argument that is none of these.
        """
        if sample_rate not in RATES:
            raise ValueError(f"sample_rate {sample_rate!r}: want 8000 or 16000 Hz, resample other sound")
        self._rate = cast(Literal[8000, 16000], int(sample_rate))
        self._call_id = _checked(CallId, call_id, f"call_id {call_id!r}: want {_NAMES} 128")
        self._channel = _checked(Channel, channel, f"channel {channel!r}: want {_NAMES} 32")
        self._start_time = _checked(
            StartTime, start_time, f"start_time {start_time!r}: want a datetime with a zone, from 1970 to before 2200"
        )
        self._engine = Engine(model)
        self._sequence = 0
        self._position = 0
        self._ended = False
        self.final_events: list[EventEnvelope] = []
        """What the end brought: the last utterance's segment, if it was open, and the summary. Empty until then."""

    def feed(self, samples: NDArray[np.int16]) -> list[EventEnvelope]:
        """Take the next samples, int16 [n] of any length, and return the events up to their end.

        Raises:
            ValueError: other samples than that, or the stream has ended.
        """
        if self._ended:
            raise ValueError("this stream has ended: begin another one")
        pieces = self._pieces(_as_int16(samples))
        return self._engine.feed([self._chunk(piece) for piece in pieces]).events

    def end(self) -> list[EventEnvelope]:
        """End the stream; returns `final_events`. A second call changes nothing."""
        if not self._ended:
            self._ended = True
            self.final_events = self._engine.feed([self._chunk(np.empty(0, np.int16), last=True)]).events
        return self.final_events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End the stream; after an error nothing more is told, for what was fed is not the whole call."""
        if error is None:
            self.end()
        self._ended = True

    def _pieces(self, samples: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
        """The engine takes chunks as they may come over Kafka, and none is longer there."""
        longest = MAX_CHUNK_SECONDS * self._rate
        return (samples[start : start + longest] for start in range(0, samples.size, longest))

    def _chunk(self, samples: NDArray[np.int16], *, last: bool = False) -> AudioChunk:
        chunk = AudioChunk(
            call_id=self._call_id,
            channel=self._channel,
            role=Role.CUSTOMER,
            sequence=self._sequence,
            first_sample=self._position,
            start_time=self._start_time,
            encoding=Encoding.L16LE,
            sample_rate=self._rate,
            audio=encode(samples, Encoding.L16LE),
            end_of_stream=last,
        )
        self._sequence += 1
        self._position += samples.size
        return chunk


def _as_int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    if not isinstance(samples, np.ndarray) or samples.dtype.kind != "i" or samples.dtype.itemsize != 2:
        found = f"an array of {samples.dtype}" if isinstance(samples, np.ndarray) else type(samples).__name__
        raise ValueError(f"samples are {found}: want a NumPy array of int16")
    if samples.ndim != 1:
        raise ValueError(f"samples have the shape {samples.shape}: want one channel, int16 [n]")
    return samples


def _checked(kind: Any, value: Any, problem: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        raise ValueError(problem) from None

"""One channel of one call as it comes by wire: samples in, chunks out, and every pause an exact gap.

A stream's clock is its sample index. What a wire did not bring is told by `gap` and moves the index on, so that later
samples keep their place; where the wire's rate is not the stream's, both are kept, and neither drifts.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding
from undertone.acoustics.codecs import encode
from undertone.acoustics.frames import RATES
from undertone.acoustics.level import FULL_SCALE
from undertone.acoustics.resample import Resampler, target_rate
from undertone.gateway.limits import Pace
from undertone.gateway.metrics import GapCause
from undertone.gateway.names import CallName
from undertone.gateway.refusals import Refused


class LiveStream:
    """Cuts what a wire feeds into chunks and hands each to `send` as soon as it is full.

    `begin` tells the moment of sample 0 when the first sample or gap comes; `ended` is called once, at the end.
    `encoding` is the wire's: G.711 stays G.711 where the rate stays, everything else becomes L16.
    """

    def __init__(
        self,
        name: CallName,
        rate: int,
        encoding: Encoding,
        *,
        chunk_ms: int,
        pace: Pace,
        begin: Callable[[], datetime],
        send: Callable[[AudioChunk], None],
        missing: Callable[[GapCause, float], None],
        ended: Callable[["LiveStream"], None],
        traceparent: str | None = None,
    ) -> None:
        self.name = name
        self.rate = rate
        self.encoding = encoding
        self.position = 0
        """Where the next sample will stand, in samples of the wire's rate."""
        self._out_rate = cast(Literal[8000, 16000], target_rate(rate))
        self._out_encoding = encoding if rate in RATES and encoding.sample_bytes == 1 else Encoding.L16
        self._resampler = None if rate in RATES else Resampler(1, rate, self._out_rate)
        self._size = self._out_rate * chunk_ms // 1000
        self._pace = pace
        self._begin, self._send, self._missing, self._ended = begin, send, missing, ended
        self._traceparent = traceparent
        self._start: datetime | None = None
        self._sequence = 0
        self._first = 0  # the place of the first sample that waits for its chunk to be full
        self._waiting: list[NDArray[np.int16]] = []
        self._waiting_samples = 0
        self._closed = False
        self._refused: Refused | None = None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return not self._closed

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Samples as they came, int16 [n] at the wire's rate.

        Raises:
            Refused: too fast, too many, or the stream was ended from elsewhere; it has ended.
        """
        self._go_on(lambda: self._pace.take(len(samples), len(samples) * self.encoding.sample_bytes))
        self.position += len(samples)
        if self._resampler:
            samples = self._resampler.feed(samples[:, None].astype(np.float32) / np.float32(FULL_SCALE))
        self._add(samples)

    def gap(self, samples: int, cause: GapCause = GapCause.PAUSE) -> None:
        """Samples, at the wire's rate, that did not come and never will: later ones keep their place.

        Raises:
            Refused: as `feed`.
        """
        if samples <= 0:
            return
        self._go_on(lambda: self._pace.skip(samples))
        self.flush()
        self.position += samples
        self._first = self._out_position()
        self._missing(cause, samples / self.rate)

    def flush(self) -> None:
        """Send what waits for its chunk to be full: nothing more comes for a while."""
        if self._resampler:
            rest = self._resampler.flush()
            # The filter's tail may reach a sample beyond the place where the next one will stand.
            self._add(rest[: max(0, self._out_position() - self._first - self._waiting_samples)])
        if self._waiting_samples:
            self._cut(self._joined())

    def end(self, refused: Refused | None = None) -> None:
        """The call is over, or `refused` says why no more of it is taken. A stream that has ended stays so."""
        if self._closed:
            return
        self._closed, self._refused = True, refused
        if self._resampler:
            self._add(self._resampler.flush())
        # Nothing was ever sent of it: then there is no stream to end.
        if self._sequence or self._waiting_samples:
            self._cut(self._joined(), end=True)
        self._ended(self)

    def _go_on(self, count: Callable[[], None]) -> None:
        if self._closed:
            raise self._refused or RuntimeError("a stream that has ended was fed")
        try:
            if self._start is None:
                self._start = self._begin()
            count()
        except Refused as refused:
            self.end(refused)
            raise

    def _out_position(self) -> int:
        """`position` in samples of the stream's rate, to the nearest."""
        return (2 * self.position * self._out_rate + self.rate) // (2 * self.rate)

    def _add(self, samples: NDArray[np.int16]) -> None:
        if len(samples):
            self._waiting.append(samples)
            self._waiting_samples += len(samples)
        if self._waiting_samples < self._size:
            return
        joined = self._joined()
        full = len(joined) // self._size * self._size
        for start in range(0, full, self._size):
            self._cut(joined[start : start + self._size])
        if full < len(joined):
            self._waiting, self._waiting_samples = [joined[full:]], len(joined) - full

    def _joined(self) -> NDArray[np.int16]:
        """Take what waits, as one array."""
        joined = np.concatenate(self._waiting) if self._waiting else np.empty(0, np.int16)
        self._waiting, self._waiting_samples = [], 0
        return joined

    def _cut(self, samples: NDArray[np.int16], *, end: bool = False) -> None:
        """Send `samples` as the next chunk."""
        assert self._start is not None  # noqa: S101  set before the first sample was added
        chunk = AudioChunk(
            call_id=self.name.call_id,
            channel=self.name.channel,
            role=self.name.role,
            sequence=self._sequence,
            first_sample=self._first,
            start_time=self._start,
            encoding=self._out_encoding,
            sample_rate=self._out_rate,
            audio=encode(np.ascontiguousarray(samples), self._out_encoding),
            end_of_stream=end,
            traceparent=self._traceparent,
        )
        self._sequence += 1
        self._first += len(samples)
        self._send(chunk)

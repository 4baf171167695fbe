"""The schedule: which recording sends next, and when. One thread; Kafka's client has its own."""

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from producer.metrics import ProducerMetrics
from producer.playback import Playback
from producer.sender import Sender
from schemas.errors import UserError
from undertone.observability.telemetry import Health

# A live file holds a decoder and a file descriptor; the usual limit of descriptors is 1,024.
MAX_LIVE_FILES = 100
# Slow replays wait longer than this for a chunk, but the loop still shows that it lives.
_LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Source:
    """Something to play that is not open yet; `open` raises UserError where it is no audio."""

    name: str
    open: Callable[[], Playback]


class Reporter(Protocol):
    """Who tells a person how it goes."""

    def opened(self, playback: Playback) -> None:
        """Its streams begin."""

    def moved(self, playback: Playback) -> None:
        """Some more of it was sent."""

    def closed(self, playback: Playback, problem: str = "") -> None:
        """Its streams have ended; `problem` says why they ended too early."""

    def skipped(self, name: str, problem: str) -> None:
        """A source that could not be opened."""


class Replay:
    """Plays sources: at speed max one after the other, else all at the same time, at most 100 of them."""

    def __init__(
        self,
        sender: Sender,
        *,
        speed: float,
        stop: threading.Event,
        reporter: Reporter,
        metrics: ProducerMetrics,
        health: Health,
    ) -> None:
        self.bad = 0  # sources that were damaged or empty
        self._sender = sender
        self._at_once = 1 if math.isinf(speed) else MAX_LIVE_FILES
        self._stop = stop
        self._reporter = reporter
        self._metrics = metrics
        self._health = health
        self._playing: list[tuple[float, int, Playback]] = []
        self._opened = 0

    def run(self, sources: Iterable[Source]) -> None:
        """Play until all is sent, or until `stop` is set: then streams that have begun are ended where they are."""
        waiting = iter(sources)
        while not self._stop.is_set():
            self._health.beat()
            if self._due_in() > 0 and self._open_next(waiting):
                continue
            if not self._playing:
                return
            wait_s = self._due_in()
            if wait_s > 0:
                self._stop.wait(min(wait_s, _LONGEST_WAIT_S))
            else:
                self._send_next()
        while self._playing:
            self._end("stopped", "stopped")

    def _due_in(self) -> float:
        return self._playing[0][0] - time.monotonic() if self._playing else math.inf

    def _open_next(self, waiting: Iterator[Source]) -> bool:
        """Open one more source; False where no more are waiting or enough are open."""
        source = next(waiting, None) if len(self._playing) < self._at_once else None
        if source is None:
            return False
        try:
            playback = source.open()
        except UserError as error:
            self.bad += 1
            self._metrics.closed(0, "bad")
            self._reporter.skipped(source.name, str(error))
            return True
        self._metrics.opened(playback.streams)
        self._reporter.opened(playback)
        self._opened += 1
        heapq.heappush(self._playing, (playback.due, self._opened, playback))
        return True

    def _send_next(self) -> None:
        due, number, playback = self._playing[0]
        if not math.isinf(due):
            self._metrics.late(time.monotonic() - due)
        playback.send(self._sender)
        self._reporter.moved(playback)
        try:
            more = playback.advance()
        except UserError as error:
            self.bad += 1
            self._end("bad", str(error))
            return
        if more:
            heapq.heapreplace(self._playing, (playback.due, number, playback))
        else:
            self._end("sent")

    def _end(self, outcome: str, problem: str = "") -> None:
        """End the recording that is at the head of the queue."""
        _, _, playback = heapq.heappop(self._playing)
        if problem:
            playback.stop(self._sender)
        self._metrics.closed(playback.streams, outcome)
        self._reporter.closed(playback, problem)

"""Chunks on their way to Kafka: a bounded queue that a thread empties, so that who listens to calls never waits."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from producer.sender import Sender
from schemas.audio import AudioChunk

# What a waiting chunk costs beside its audio: the object, its fields, the queue's place.
_OVERHEAD_BYTES = 2_000
# Each try of a stream's end lasts as long as the client keeps it, two minutes: an hour of a Kafka that is away.
_TRIES_OF_AN_END = 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parcel:
    chunk: AudioChunk
    source: str
    lost: Callable[[int], None]
    tries: int = 1


class Outbox:
    """Takes chunks without waiting, and refuses them where too much waits already.

    A stream's end is always taken, if need be without its audio, and sent again where Kafka did not take it. `stopping`
    is what `sender` asks, so that it waits no more once this closes.
    """

    def __init__(self, sender: Sender, stopping: threading.Event, buffer_bytes: int, patience_s: float) -> None:
        self._sender = sender
        self._stopping = stopping
        self._buffer_bytes = buffer_bytes
        self._patience_s = patience_s
        self._queue: queue.SimpleQueue[_Parcel | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def bytes(self) -> int:
        """What waits here for room at Kafka's client."""
        return self._bytes

    @property
    def alive(self) -> bool:
        """Whether somebody still empties it."""
        return self._thread.is_alive()

    @property
    def away(self) -> bool:
        """Whether Kafka is away: it has taken nothing for a while, or half of what may wait does.

        The other half is for the calls that are running.
        """
        return self._sender.silent_s > self._patience_s or self._bytes > self._buffer_bytes // 2

    def put(self, chunk: AudioChunk, source: str, lost: Callable[[int], None]) -> None:
        """Take a chunk; `lost` is called with its number of samples, from any thread, where Kafka does not get it."""
        if self._bytes + _size(chunk) > self._buffer_bytes:
            if chunk.samples:
                lost(chunk.samples)
            if not chunk.end_of_stream:
                return
            chunk = _bare_end(chunk)
        self._put(_Parcel(chunk, source, lost))

    def close(self, wait_s: float) -> None:
        """Send what waits, for `wait_s` at most, and let go of Kafka. What is left then is lost, and counted."""
        self._queue.put(None)
        self._thread.join(wait_s)
        # From now on nobody waits for room any more: what waits goes to the client, which has ten seconds.
        self._stopping.set()
        self._thread.join()
        self._sender.flush()
        self._sender.close()

    def _put(self, parcel: _Parcel) -> None:
        with self._lock:
            self._bytes += _size(parcel.chunk)
        self._queue.put(parcel)

    def _run(self) -> None:
        try:
            while (parcel := self._queue.get()) is not None:
                with self._lock:
                    self._bytes -= _size(parcel.chunk)
                self._sender.send(parcel.chunk, source=parcel.source, lost=partial(self._lost, parcel))
        except Exception:
            # The service sees that it is dead, and ends.
            _log.exception("the thread that hands chunks to Kafka has failed")

    def _lost(self, parcel: _Parcel) -> None:
        if parcel.chunk.samples:
            parcel.lost(parcel.chunk.samples)
        if parcel.chunk.end_of_stream and parcel.tries < _TRIES_OF_AN_END and not self._stopping.is_set():
            self._put(_Parcel(_bare_end(parcel.chunk), parcel.source, parcel.lost, parcel.tries + 1))


def _size(chunk: AudioChunk) -> int:
    return len(chunk.audio) + _OVERHEAD_BYTES


def _bare_end(chunk: AudioChunk) -> AudioChunk:
    """The end alone, behind the audio that is lost."""
    return chunk.model_copy(update={"audio": b"", "first_sample": chunk.first_sample + chunk.samples})

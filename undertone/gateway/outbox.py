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


class Account:
    """What became of one stream's chunks. `lost` is told the number of samples of each that Kafka did not get."""

    def __init__(self, lost: Callable[[int], None]) -> None:
        self.lost_samples = 0
        self.pending = 0
        """Chunks of which it is not known yet whether Kafka has them."""
        self._tell = lost
        self._lock = threading.Lock()

    def put(self) -> None:
        """One more is on its way."""
        with self._lock:
            self.pending += 1

    def settle(self, samples_lost: int) -> None:
        """One has arrived, or not: then its samples are lost."""
        with self._lock:
            self.pending -= 1
            self.lost_samples += samples_lost
        if samples_lost:
            self._tell(samples_lost)


@dataclass(frozen=True, slots=True)
class _Parcel:
    chunk: AudioChunk
    source: str
    account: Account
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

    @property
    def room(self) -> bool:
        """Whether who can wait (a recording, not a live call) may put more: a quarter of the room is for such."""
        return self._bytes < self._buffer_bytes // 4 and not self.away

    def put(self, chunk: AudioChunk, source: str, account: Account) -> None:
        """Take a chunk; `account` is told what becomes of it, from any thread."""
        account.put()
        if self._bytes + _size(chunk) > self._buffer_bytes:
            account.settle(chunk.samples)
            if not chunk.end_of_stream:
                return
            account.put()
            chunk = _bare_end(chunk)
        self._put(_Parcel(chunk, source, account))

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
                self._sender.send(parcel.chunk, source=parcel.source, settled=partial(self._settled, parcel))
        except Exception:
            # The service sees that it is dead, and ends.
            _log.exception("the thread that hands chunks to Kafka has failed")

    def _settled(self, parcel: _Parcel, delivered: bool) -> None:
        chunk, account = parcel.chunk, parcel.account
        if not delivered and chunk.end_of_stream and parcel.tries < _TRIES_OF_AN_END and not self._stopping.is_set():
            account.put()
            self._put(_Parcel(_bare_end(chunk), parcel.source, account, parcel.tries + 1))
        account.settle(0 if delivered else chunk.samples)


def _size(chunk: AudioChunk) -> int:
    return len(chunk.audio) + _OVERHEAD_BYTES


def _bare_end(chunk: AudioChunk) -> AudioChunk:
    """The end alone, behind the audio that is lost."""
    return chunk.model_copy(update={"audio": b"", "first_sample": chunk.first_sample + chunk.samples})

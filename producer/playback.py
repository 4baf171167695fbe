"""One recording played under one or more call ids, chunk by chunk, each at its due time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from producer.sender import Sender
from schemas.audio import AudioChunk, Encoding
from schemas.errors import UserError
from schemas.streams import Voice, voices
from undertone.acoustics.chunks import Piece, chunks_of, of_call, pieces
from undertone.acoustics.sources import Recording


@dataclass(frozen=True, slots=True)
class PlaybackOptions:
    """How recordings become streams. `speed` 1 is real time, infinity as fast as Kafka takes it."""

    encoding: Encoding = Encoding.L16
    chunk_ms: int = 500
    speed: float = 1.0
    roles: str | None = None
    traceparent: str | None = None
    """What all chunks carry, and so their events."""


class Playback:
    """A recording and where its streams stand. Live, a chunk is sent when its last sample would have been heard.

    Copies are decoded once. Their starts are spread evenly over one chunk's length: N calls that all sent at the
    same moment would be a load that no telephone system makes. `begin` says when calls of such ids begin.

    Raises:
        UserError: no audio in it, damaged at its start, or roles that do not fit its channels.
    """

    def __init__(
        self,
        recording: Recording,
        call_ids: Sequence[str],
        options: PlaybackOptions,
        begin: Callable[[Sequence[str]], datetime],
    ) -> None:
        self.recording = recording
        self.call_ids = tuple(call_ids)
        self.voices: tuple[Voice, ...] = voices(options.roles, recording.channels)
        self.sent_samples = 0  # of each channel
        self._options = options
        self._size = recording.rate * options.chunk_ms // 1000
        self._pieces = pieces(recording.blocks, self._size, recording.channels, live=recording.live)
        self._piece = next(self._pieces)
        if self._piece.last and not len(self._piece.samples):
            raise UserError("there is no audio in it")
        self._copy = 0
        self._chunks = self._encode(self._piece)
        self._start = time.monotonic()
        self._start_time = begin(self.call_ids)

    @property
    def streams(self) -> int:
        """Streams that it feeds: calls times channels."""
        return len(self.call_ids) * len(self.voices)

    @property
    def due(self) -> float:
        """When the next chunk is due, in `time.monotonic` seconds; minus infinity at speed max."""
        if math.isinf(self._options.speed):
            return -math.inf
        played = self._piece.first_sample + len(self._piece.samples) + self._size * self._copy / len(self.call_ids)
        # From the start and the sample count alone: an error of one sleep is not carried to the next.
        return self._start + played / self.recording.rate / self._options.speed

    def send(self, sender: Sender) -> None:
        """Send the piece that is due, under the call id whose turn it is."""
        for chunk in self._chunks:
            sender.send(self._of_copy(chunk, self._copy))
        if self._copy == 0:
            self.sent_samples += len(self._piece.samples)
        self._copy += 1

    def advance(self) -> bool:
        """Go to what comes next; False when all was sent.

        Raises:
            UserError: the recording is damaged from here on. `stop` ends its streams.
        """
        if self._copy < len(self.call_ids):
            return True
        if self._piece.last:
            self.recording.close()
            return False
        self._piece = next(self._pieces)
        self._chunks = self._encode(self._piece)
        self._copy = 0
        return True

    def stop(self, sender: Sender) -> None:
        """End early: each stream that began and has not ended gets an end-of-stream chunk without audio."""
        self.recording.close()
        done, piece = self._copy, self._piece
        nothing = np.empty((0, len(self.voices)), np.int16)
        behind = Piece(piece.sequence, piece.first_sample, nothing, True)
        ahead = Piece(piece.sequence + 1, piece.first_sample + len(piece.samples), nothing, True)
        for copy in range(len(self.call_ids)):
            end = ahead if copy < done else behind
            if end.sequence == 0 or (copy < done and piece.last):
                continue
            for chunk in self._encode(end):
                sender.send(self._of_copy(chunk, copy))

    def _encode(self, piece: Piece) -> tuple[AudioChunk, ...]:
        return chunks_of(piece, self.voices, self.recording.rate, self._options.encoding)

    def _of_copy(self, chunk: AudioChunk, copy: int) -> AudioChunk:
        delay = copy / len(self.call_ids) * self._options.chunk_ms / 1000 / self._options.speed
        start_time = self._start_time + timedelta(seconds=delay)
        return of_call(chunk, self.call_ids[copy], start_time, self._options.traceparent)

"""One track's messages in order: late ones waited for where the dialect mixes them up, missing ones a gap."""

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.media_messages import Media

# A clock of media says the same as the count of lost messages within this; where they differ by more, the clock is
# right, for messages may differ in length. The time of day jitters by more, and is only right on long silences.
_CLOCK_TOLERANCE_MS = 10
_WALL_CLOCK_TOLERANCE_MS = 1000
# Timestamps are whole milliseconds.
_ROUNDING_MS = 1
# A clock that falls behind the samples by this much has begun anew.
_RESTART_MS = 1000
# No call is on hold for longer: a timestamp that jumps further is none.
_MAX_GAP_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples, int16 [n], and how many are missing before them."""

    gap: int
    samples: NDArray[np.int16]


class Track:
    """Puts the messages of one track in order and finds what is missing between them.

    The first message is the beginning, whatever its timestamp says. Up to `reorder` messages are held back while one
    before them may still come. A message whose turn is over is dropped, and counted in `late`.
    """

    def __init__(self, rate: int, reorder: int = 0, *, wall_clock: bool = False) -> None:
        self.late = 0
        self._rate = rate
        self._reorder = reorder
        self._wall_clock = wall_clock
        self._held: list[tuple[int, int, Media]] = []
        self._arrivals = itertools.count()
        self._last: Media | None = None
        self._last_place = -1
        self._position = 0
        self._epoch_ms: float | None = None

    def take(self, media: Media) -> Iterator[Stretch]:
        """What is in order now, with the gaps between.

        Raises:
            MalformedMessage: a timestamp that is further ahead than any call lasts.
        """
        heapq.heappush(self._held, (self._place(media), next(self._arrivals), media))
        while self._held and (len(self._held) > self._reorder or self._is_next(*self._held[0])):
            yield from self._release()

    def flush(self) -> Iterator[Stretch]:
        """What is still held back, at the end."""
        while self._held:
            yield from self._release()

    def _place(self, media: Media) -> int:
        """What a track's messages are ordered by: their number, else their time, else as they come."""
        if media.chunk is not None:
            return media.chunk
        return media.timestamp if media.timestamp is not None else self._last_place + 1

    def _is_next(self, place: int, _: int, media: Media) -> bool:
        if media.chunk is None and media.timestamp is None:
            return True
        if self._last is None:
            return media.chunk is not None and media.chunk <= 1
        if place <= self._last_place or (media.chunk is not None and place == self._last_place + 1):
            return True
        ahead = self._ahead_ms(media)
        return ahead is not None and abs(ahead) < _CLOCK_TOLERANCE_MS

    def _release(self) -> Iterator[Stretch]:
        place, _, media = heapq.heappop(self._held)
        if self._last is not None and place <= self._last_place:
            self.late += 1
            return
        gap = self._gap(media)
        self._position += gap + len(media.samples)
        self._last, self._last_place = media, place
        if gap or len(media.samples):
            yield Stretch(gap, media.samples)

    def _gap(self, media: Media) -> int:
        """Samples that are missing before `media`."""
        if self._last is None:
            self._epoch_ms = media.timestamp
            return 0
        lost = 0
        if media.chunk is not None and self._last.chunk is not None:
            lost = (media.chunk - self._last.chunk - 1) * len(self._last.samples)
        ahead = self._ahead_ms(media)
        if ahead is None:
            self._epoch_ms = self._begun_at(media)
            ahead = 1000 * lost / self._rate
        elif ahead <= -_RESTART_MS:
            self._epoch_ms = self._begun_at(media)
            ahead = 0
        if ahead > _MAX_GAP_MS:
            raise MalformedMessage(f"media.timestamp jumps by {ahead / 3.6e6:.0f} h")
        tolerance = _WALL_CLOCK_TOLERANCE_MS if self._wall_clock else _CLOCK_TOLERANCE_MS
        if lost and abs(ahead - 1000 * lost / self._rate) < tolerance:
            return lost
        # Without a message that is missing, less than a message's length is the clock's own jitter.
        length_ms = 1000 * len(self._last.samples) / self._rate
        least = _CLOCK_TOLERANCE_MS if lost else max(_CLOCK_TOLERANCE_MS, length_ms - _ROUNDING_MS)
        return round(ahead * self._rate / 1000) if ahead >= (tolerance if self._wall_clock else least) else 0

    def _ahead_ms(self, media: Media) -> float | None:
        """By how much a message's timestamp is ahead of the samples so far."""
        if media.timestamp is None or self._epoch_ms is None:
            return None
        return media.timestamp - self._epoch_ms - 1000 * self._position / self._rate

    def _begun_at(self, media: Media) -> float | None:
        """The epoch by which `media` is just in time."""
        return None if media.timestamp is None else media.timestamp - 1000 * self._position / self._rate

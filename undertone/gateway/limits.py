"""How much of a call is taken, and how fast."""

import time
from collections.abc import Callable

from undertone.gateway.refusals import Refusal, Refused

# Clocks of telephony equipment are off by parts in ten thousand; an hour's call must not be refused for that.
_TOLERANCE = 1.02


class Pace:
    """Bounds one stream: its bytes, and how far it may be ahead of the clock. `live` False leaves out the clock."""

    def __init__(
        self, rate: int, burst_s: float, max_bytes: int, *, live: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst_s = burst_s
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._live = live
        self._now = now
        self._began: float | None = None
        self._samples = 0

    def take(self, samples: int, size: int) -> None:
        """`samples` more, heard or missing, which came as `size` bytes.

        Raises:
            Refused: they are too many.
        """
        self._left -= size
        if self._left < 0:
            raise Refused(Refusal.CALL_TOO_LARGE, f"more than {self._max_bytes} bytes of audio in one stream")
        if not self._live:
            return
        now = self._now()
        if self._began is None:
            self._began = now
        self._samples += samples
        if self._samples > ((now - self._began) * _TOLERANCE + self._burst_s) * self._rate:
            raise Refused(Refusal.TOO_FAST, f"more than {self._burst_s:g} s ahead of the clock")

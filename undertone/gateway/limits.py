"""How much of a call is taken, and how fast."""

import time
from collections.abc import Callable

from undertone.gateway.refusals import Refusal, Refused

# Clocks of telephony equipment are off by parts in ten thousand; an hour's call must not be refused for that.
_TOLERANCE = 1.02
# A call's gaps together: no call lasts longer, and a stream's sample index has an end.
_MAX_GAPS_S = 7 * 24 * 3600


class Pace:
    """Bounds one stream: its bytes, its gaps, and how far its audio may be ahead of the clock.

    A gap costs nothing and is no audio: who says at once that a minute was left out is not too fast. `live` False
    leaves out the clock.
    """

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
        self._missing = 0

    def skip(self, samples: int) -> None:
        """`samples` more that are missing.

        Raises:
            Refused: they are too many.
        """
        self._missing += samples
        if self._missing > _MAX_GAPS_S * self._rate:
            raise Refused(Refusal.CALL_TOO_LARGE, "gaps of more than a week in one stream")

    def take(self, samples: int, size: int) -> None:
        """`samples` more that were heard, which came as `size` bytes.

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

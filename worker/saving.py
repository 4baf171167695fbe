"""When states are saved: an open stream's every few seconds, all of a partition where a replay would go another way.

Between two records of a stream its audio stands for it. The shorter, the more is written (5 KB a time), the longer, the
more a worker hears again that takes over: at most what this one has done in that time.
"""

import time
from collections import deque
from collections.abc import Mapping

# How finely the positions of the last seconds are kept.
_STEPS = 20


class Saving:
    """Says which states go with the next transaction. To save more than that is never wrong."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: deque[tuple[float, Mapping[int, int]]] = deque()
        self._passed: Mapping[int, int] = {}  # where the partitions stood `seconds` ago
        self._whole: set[int] = set()

    def save_all(self, partition: int) -> None:
        """Save all of a partition's states with its next transaction, so that nothing before it is heard again."""
        self._whole.add(partition)

    def before(self, positions: Mapping[int, int]) -> dict[int, int]:
        """By partition: states are to be saved that are behind since an offset before this one.

        `positions`: the partitions that are being read, and up to where the engine has heard each.
        """
        now = time.monotonic()
        if not self._seen or now - self._seen[-1][0] >= self._seconds / _STEPS:
            self._seen.append((now, positions))
        while self._seen and now - self._seen[0][0] >= self._seconds:
            self._passed = self._seen.popleft()[1]
        whole, self._whole = self._whole & positions.keys(), self._whole - positions.keys()
        return {
            number: position if number in whole else self._passed.get(number, 0)
            for number, position in positions.items()
        }

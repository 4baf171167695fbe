"""When states are saved: an open stream's every few seconds, all of a partition where a replay would go another way.

Between two records of a stream its audio stands for it. The shorter, the more is written (5 KB a time), the longer, the
more a worker hears again that takes over: what this one has done in that time, and never more than `MOST_UNSAVED`.
"""

import time
from collections import deque
from collections.abc import Mapping

# Chunks of half a second that whoever takes over hears again: a second of its processor. Up to 500 calls that speak all
# the time a worker saves each of them every 5 s, and above that as often as this takes.
MOST_UNSAVED = 5_000
# How finely the positions since then are kept.
_STEPS = 20


class Saving:
    """Says which states go with the next transaction. To save more than that is never wrong."""

    def __init__(self, seconds: float, most_unsaved: int = MOST_UNSAVED) -> None:
        self._seconds = seconds
        self._most_unsaved = most_unsaved
        self._seen: deque[tuple[float, Mapping[int, int]]] = deque()
        self._passed: Mapping[int, int] = {}  # where the partitions stood `seconds` ago, or less
        self._whole: set[int] = set()

    def save_all(self, partition: int) -> None:
        """Save all of a partition's states with its next transaction, so that nothing before it is heard again."""
        self._whole.add(partition)

    def before(self, positions: Mapping[int, int], unsaved: Mapping[int, int]) -> dict[int, int]:
        """By partition: states are to be saved that are behind since an offset before this one.

        `positions`: the partitions that are being read, and up to where the engine has heard each. `unsaved`: since
        where states of them are behind, if any are.
        """
        whole, self._whole = self._whole & positions.keys(), self._whole - positions.keys()
        left = [(number, positions[number], since) for number, since in unsaved.items() if number not in whole]

        def heard_again(passed: Mapping[int, int]) -> int:
            """How much, if what has been unsaved since before `passed` is saved now."""
            return sum(max(0, position - max(since, passed.get(number, 0))) for number, position, since in left)

        now = time.monotonic()
        last, known = self._seen[-1] if self._seen else (0.0, self._passed)
        if now - last >= self._seconds / _STEPS or heard_again(known) >= self._most_unsaved / _STEPS:
            self._seen.append((now, positions))
        while self._seen and (
            now - self._seen[0][0] >= self._seconds or heard_again(self._passed) > self._most_unsaved
        ):
            self._passed = self._seen.popleft()[1]
        return {
            number: position if number in whole else self._passed.get(number, 0)
            for number, position in positions.items()
        }

"""This machine's clock beside Kafka's, by the times at which the broker says that it took chunks."""

from collections.abc import Callable

# Two clocks that are kept right differ by milliseconds.
_TOLERANCE_S = 2.0


class ClockCheck:
    """Says once that this machine's clock is wrong, while a person can still set it.

    Start times come from it. Calls that began by a clock that was ahead are a trap: once it is set right, a call of the
    same name seems to be older, and workers refuse it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = False

    def took(self, sent_s: float, acknowledged_s: float, written_ms: int) -> None:
        """A chunk was sent and acknowledged at these times of our clock, and written in between by the broker's."""
        written_s = written_ms / 1000
        ahead_s, behind_s = sent_s - written_s, written_s - acknowledged_s
        if self._said or max(ahead_s, behind_s) <= _TOLERANCE_S:
            return
        self._said = True
        wrong = "and the times of these calls' events are wrong by that"
        if ahead_s > 0:
            self._say(
                f"this machine's clock is {ahead_s:.0f} s ahead of Kafka's, {wrong};"
                " calls that are sent again after it is set right need other names"
            )
        else:
            self._say(f"this machine's clock is {behind_s:.0f} s behind Kafka's, {wrong}")

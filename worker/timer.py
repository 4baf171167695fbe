"""What is to be done every so often, on the monotonic clock."""

import time


class Timer:
    """Says once every `seconds` that something is due."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._next = time.monotonic() + self._seconds

    def due(self) -> bool:
        """Whether the time is up; if so it starts anew."""
        if time.monotonic() < self._next:
            return False
        self.restart()
        return True

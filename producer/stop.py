"""Ctrl-C and SIGTERM: the first asks for an orderly end, another one leaves at once."""

import signal
import sys
import threading
from types import FrameType
from typing import Any, Self


class Stop:
    """While it is entered, SIGINT and SIGTERM set `event`, and `code` to the exit code that shells expect."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.code:
            raise KeyboardInterrupt
        self.code = 128 + number
        self.event.set()
        # Not through the console, which could be inside its own lock at this moment.
        sys.stderr.write("\nstopping: ending the streams that have begun; Ctrl-C again leaves at once\n")

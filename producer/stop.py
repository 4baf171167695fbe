"""Ctrl-C and SIGTERM: the first asks for an orderly end, another one leaves at once."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Self

from undertone.signals import from_handler


class Stop:
    """While it is entered, SIGINT and SIGTERM set `event`, and `code` to the exit code that shells expect."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self._before: dict[int, Any] = {}
        self._ask = from_handler(self.event.set)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.code:
            raise KeyboardInterrupt
        self.code = 128 + number
        self._ask()
        # Neither through the console nor through a buffer, whose locks the main thread may hold at this moment.
        os.write(2, b"\nstopping: ending the streams that have begun; Ctrl-C again leaves at once\n")

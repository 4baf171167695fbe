"""The log of a service: one line an event, on standard error, and Kafka's client held back to what is new."""

import logging
import time

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# While a broker is away its client reports every attempt, several a second; once in this time tells as much.
_REPEAT_S = 30.0


def set_up_log() -> None:
    """Log to standard error from INFO upwards."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_NoRepeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _NoRepeats(logging.Filter):
    """Lets a message of Kafka's client through once in a while, whatever its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("kafka"):
            return True
        now, text = time.monotonic(), f"{record.name} {record.msg}"
        if now < self._next.get(text, 0):
            return False
        self._next[text] = now + _REPEAT_S
        return True

"""The log of a service: one line an event, on standard error, and Kafka's client held back to what is new."""

import json
import logging
import time
from datetime import UTC, datetime

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# While a broker is away its client reports every attempt, several a second; once in this time tells as much.
_REPEAT_S = 30.0
_FIELDS = "fields"


def set_up_log(*, as_json: bool = False) -> None:
    """Log to standard error from INFO upwards, for people or as a JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter(FORMAT))
    handler.addFilter(_NoRepeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class JsonLines(logging.Formatter):
    """A JSON object for each record: time, level, logger, message, the fields of `named`, and a traceback as error."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        } | getattr(record, _FIELDS, {})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def named(what: str, **fields: object) -> tuple[str, dict[str, object]]:
    """A message of `what` and `name=value` for each field, and the `extra` with which JSON lines have them, too."""
    return f"{what}: " + " ".join(f"{name}={value}" for name, value in fields.items()), {_FIELDS: fields}


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

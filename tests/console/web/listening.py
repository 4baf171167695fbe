"""A page's ears: the console's server-sent events, as they come."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.installation import PATIENCE_S


@dataclass
class Heard:
    """What one page has heard."""

    last_id: str = ""
    anew: int = 0
    away: str = ""
    events: list[tuple[str, float]] = field(default_factory=list)


@contextmanager
def listening(url: str, last_id: str = "", **query: str) -> Iterator[Iterator[Heard]]:
    """A page that listens; each step gives all that it has heard, after one more message."""

    def hear(lines: Iterator[str]) -> Iterator[Heard]:
        heard, name, number = Heard(last_id), "", None
        for line in lines:
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                number = value
            elif key == "data" and name == "events":
                heard.events += [(one["call"], one["end"]) for one in json.loads(value)]
            elif key == "data" and name == "tick":
                heard.away = json.loads(value)["away"]
            elif not line:
                heard.anew += name == "anew"
                heard.last_id = number or heard.last_id
                name, number = "", None
                yield heard

    headers = {"Last-Event-ID": last_id} if last_id else {}
    with httpx.stream("GET", f"{url}/api/events", params=query, headers=headers, timeout=PATIENCE_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield hear(answer.iter_lines())


def until(heard: Iterator[Heard], events: int) -> Heard:
    """Listen until there are so many events."""
    end = time.monotonic() + PATIENCE_S
    for one in heard:
        if len(one.events) >= events:
            return one
        assert time.monotonic() < end, one
    raise AssertionError("the stream has ended")

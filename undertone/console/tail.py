"""`undertone tail`: the events on `emotion-events` as they come, as rows or as JSON lines."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kafka.consumer.fetcher import ConsumerRecord
from rich.console import Console

from schemas.events import event_line
from schemas.topics import Topics
from undertone.console.events import event_of, follow, stored
from undertone.console.rows import Event, heading, row
from undertone.messaging.settings import KafkaSettings


def tail(settings: KafkaSettings, *, from_start: bool, until_end: bool, call_id: str | None, as_json: bool) -> None:
    """Print events until interrupted, or with `until_end` up to the end that the topic has now.

    Records that are no events get one line of warning each on standard error. A reader that closes the pipe ends
    it quietly.

    Raises:
        UserError: no Kafka, or no topic.
    """
    with _quiet_when_closed():
        show = _json_line if as_json else _table()
        for record in _records(settings, from_start=from_start, until_end=until_end):
            event = event_of(record)
            if isinstance(event, str):
                print(f"warning: {event}", file=sys.stderr)
            elif call_id is None or event.call_id == call_id:
                show(event)


def _records(settings: KafkaSettings, *, from_start: bool, until_end: bool) -> Iterator[ConsumerRecord]:
    topic = Topics(settings.topic_prefix).emotion_events
    if not until_end:
        for batch in follow(settings, [topic], from_start=from_start):
            yield from batch
    elif from_start:  # from now to the end that there is now lies nothing
        yield from stored(settings, topic)


def _json_line(event: Event) -> None:
    # Whoever reads this lives on the other side of a pipe, where Python would keep 8 KB back.
    print(event_line(event), flush=True)


def _table() -> Callable[[Event], None]:
    console = Console(highlight=False)
    console.print(heading(), soft_wrap=True)

    def show(event: Event) -> None:
        console.print(row(event), soft_wrap=True)

    return show


@contextmanager
def _quiet_when_closed() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes standard output once more when it exits; that must not fail a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Watches audio and events arrive while the demo plays: a live view on a terminal, a line per event elsewhere."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from kafka.consumer.fetcher import ConsumerRecord
from rich.console import Console
from rich.live import Live

from schemas.audio import AudioChunk, RecordPlace, Role
from schemas.dead_letters import Rejected
from schemas.topics import Topics
from undertone.console.events import event_of, follow
from undertone.console.live import draw
from undertone.console.processes import Child
from undertone.console.rows import heading, row, stream_time
from undertone.console.streams import Board
from undertone.messaging.settings import KafkaSettings

# A summary comes within a second of the last chunk; workers on a busy machine need a few.
_GRACE_S = 20.0
# The replay takes half a minute; whatever hangs must not keep the demo from ending within two.
_LONGEST_S = 75.0


class DemoError(Exception):
    """The demo cannot go on: one line that names the log to look at."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A producer to start, so many seconds after the watch begins."""

    at_s: float
    start: Callable[[], Child]


class Watch:
    """Plays the cues and collects what comes until every customer's stream has its summary."""

    def __init__(self, settings: KafkaSettings, workers: Sequence[Child], console: Console) -> None:
        self.board = Board()
        self._topics = Topics(settings.topic_prefix)
        self._settings = settings
        self._workers = workers
        self._console = console
        self._producers: list[Child] = []

    def run(self, cues: Sequence[Cue]) -> None:
        """Returns when every customer's stream has its summary.

        Raises:
            DemoError: a worker or a producer failed, or events did not come.
        """
        waiting = sorted(cues, key=lambda cue: cue.at_s)
        began = time.monotonic()
        all_sent = None
        topics = [self._topics.call_audio, self._topics.emotion_events]
        screen = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        if screen is None:
            self._console.print(heading(), soft_wrap=True)
        with screen or nullcontext():
            for batch in follow(self._settings, topics, from_start=True):
                now = time.monotonic()
                while waiting and waiting[0].at_s <= now - began:
                    self._producers.append(waiting.pop(0).start())
                for record in batch:
                    self._take(record)
                if screen:
                    title = f"Undertone  {stream_time(int(now - began), 1)[:-2]}"
                    screen.update(draw(self.board, title, self._console.width), refresh=True)
                self._check_children()
                if not waiting and all(child.code == 0 for child in self._producers):
                    all_sent = all_sent or now
                    if self._complete():
                        return
                    if now - all_sent > _GRACE_S:
                        raise DemoError(self._missing())
                if now - began > _LONGEST_S:
                    raise DemoError(f"not done after {_LONGEST_S:.0f} s: see {self._workers[0].log_file}")

    def _take(self, record: ConsumerRecord) -> None:
        if record.topic == self._topics.emotion_events.name:
            event = event_of(record)
            if isinstance(event, str):
                raise DemoError(event)
            self.board.add_event(event, time.time())
            if not self._console.is_terminal:
                self._console.print(row(event), soft_wrap=True)
            return
        place = RecordPlace(
            topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp
        )
        try:
            self.board.add_audio(AudioChunk.from_record(record.key, record.value, record.headers, place))
        except Rejected as rejected:
            raise DemoError(f"the producer sent a chunk that is none: {rejected.detail}") from rejected

    def _check_children(self) -> None:
        for worker in self._workers:
            if worker.code is not None:
                raise DemoError(f"{worker.name} has ended: {worker.last_words()} (log: {worker.log_file})")
        for producer in self._producers:
            if producer.code:
                raise DemoError(f"{producer.name} failed: {producer.last_words()} (log: {producer.log_file})")

    def _complete(self) -> bool:
        views = self.board.streams.values()
        return bool(views) and all(
            view.ended and (view.summary or (view.role is Role.AGENT and view.last is None)) for view in views
        )

    def _missing(self) -> str:
        names = [view.name for view in self.board.streams.values() if not view.summary and view.role is Role.CUSTOMER]
        logs = " and ".join(str(worker.log_file) for worker in self._workers)
        return f"no summary of {', '.join(names) or 'any stream'} within {_GRACE_S:.0f} s of its end: see {logs}"

"""`undertone produce`: from what a person asked for to streams on `call-audio`, and how it went."""

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from producer.clock import ClockCheck
from producer.metrics import ProducerMetrics
from producer.playback import Playback, PlaybackOptions
from producer.progress import reporter
from producer.replay import Replay, Source
from producer.sender import Sender
from producer.start_times import StartTimes
from producer.stop import Stop
from schemas.errors import UserError
from schemas.streams import call_ids, copies, voices
from schemas.topics import Topics
from schemas.tracing import TRACEPARENT, traceparent_in
from undertone.acoustics.sources import STDIN, Rate, find, open_file, open_stdin
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.observability.telemetry import Health, Telemetry


@dataclass(frozen=True, slots=True)
class ProduceRequest:
    """What to send, and how. `speed` 1 is real time, infinity as fast as Kafka takes it."""

    paths: Sequence[str]
    call_id: str | None
    calls: int
    rate: Rate | None
    options: PlaybackOptions
    metrics_port: int | None = None


def parse_speed(text: str) -> float:
    """`max` is infinity, else a positive number of times real time; UserError for anything else."""
    try:
        speed = math.inf if text.strip().lower() == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0 or (math.isinf(speed) and text.strip().lower() != "max"):
        raise UserError(f"--speed {text}: want a number above 0 (1 is real time) or max")
    return speed


def trace_of(traceparent: str | None) -> str | None:
    """The trace of what is sent: the option, else TRACEPARENT of the environment; UserError where it is none."""
    text = traceparent or os.environ.get("TRACEPARENT")
    found = traceparent_in({TRACEPARENT: text or ""})
    if text and found is None:
        raise UserError(f"--traceparent or TRACEPARENT {text[:80]!r}: want 00-TRACE_ID-PARENT_ID-FLAGS in hex digits")
    return found


def produce(request: ProduceRequest, settings: KafkaSettings, console: Console) -> int:
    """Send everything; returns the exit code.

    0: all sent. 1: a source was damaged or empty, or Kafka did not take a chunk; the rest was sent.
    130 or 143: stopped by Ctrl-C or SIGTERM; streams that had begun were ended where they were.

    Raises:
        UserError: no Kafka, no topic, an impossible request; nothing was sent.
    """
    if roles := request.options.roles:
        voices(roles, roles.count(",") + 1)  # a role that is none fits no file
    names = _names(request)
    topic = Topics(settings.topic_prefix).call_audio
    with admin(settings) as client:
        require_topics(client, topic)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(Stop())
        health, metrics = Health(ready=True), ProducerMetrics()

        def stopping() -> bool:
            # Asked wherever the producer waits, several times a second: for a person who is silent, for Kafka.
            health.beat()
            return stop.event.is_set()

        if request.metrics_port is not None:
            telemetry = stack.enter_context(Telemetry("127.0.0.1", request.metrics_port, metrics.registry, health))
            console.print(f"metrics on http://127.0.0.1:{telemetry.port}/metrics", highlight=False)
        progress = reporter(console)
        sender = Sender(audio_producer(settings), topic.name, metrics, stopping, ClockCheck(progress.warned))
        stack.callback(sender.close)
        with progress:
            ids = [call_id for _, base in names for call_id in copies(base, request.calls)]
            begins = StartTimes.of(settings, topic.name, ids, progress.warned)
            replay = Replay(
                sender,
                speed=request.options.speed,
                stop=stop.event,
                reporter=progress,
                metrics=metrics,
                health=health,
            )
            replay.run(_sources(request, names, begins, stopping))
        sender.flush()
    _account(sender, replay.bad, len(names), console)
    if stop.code:
        return stop.code
    return 1 if replay.bad or sender.failed else 0


def _names(request: ProduceRequest) -> list[tuple[str, str]]:
    """What there is to play, and the call id of each."""
    names = find(request.paths)
    ids = call_ids(["stdin"] if names == [STDIN] else names, request.call_id)
    return list(zip(names, ids, strict=True))


def _sources(
    request: ProduceRequest, names: Sequence[tuple[str, str]], begins: StartTimes, stopping: Callable[[], bool]
) -> Iterator[Source]:
    for name, call_id in names:
        yield Source(name, functools.partial(_open, request, name, call_id, begins, stopping))


def _open(
    request: ProduceRequest, name: str, call_id: str, begins: StartTimes, stopping: Callable[[], bool]
) -> Playback:
    options = request.options
    if name == STDIN:
        channels = options.roles.count(",") + 1 if options.roles else 1
        recording = open_stdin(request.rate, channels, options.encoding, stopping)
    else:
        recording = open_file(name, request.rate)
    return Playback(recording, copies(call_id, request.calls), options, begins.begin)


def _account(sender: Sender, bad: int, sources: int, console: Console) -> None:
    line = f"{sender.delivered} chunks from {sources - bad} of {sources} sources are in Kafka"
    console.print(line, highlight=False, soft_wrap=True)
    if sender.failed:
        console.print(
            f"{sender.failed} chunks are NOT in Kafka: {sender.first_error}", style="red", markup=False, soft_wrap=True
        )

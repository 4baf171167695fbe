"""`undertone produce`: from what a person asked for to streams on `call-audio`, and how it went."""

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console

from producer.metrics import ProducerMetrics
from producer.playback import Playback, PlaybackOptions
from producer.progress import reporter
from producer.replay import Replay, Source
from producer.sender import Sender
from producer.stop import Stop
from schemas.errors import UserError
from schemas.streams import call_ids, copies, voices
from schemas.topics import Topics
from undertone.acoustics.sources import STDIN, Rate, find, open_file, open_stdin
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import require_topics
from undertone.observability.telemetry import Health, Telemetry

# After Ctrl-C a person waits this long for chunks in flight, not the two minutes of a delivery's timeout.
STOP_FLUSH_S = 10.0


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


def produce(request: ProduceRequest, settings: KafkaSettings, console: Console) -> int:
    """Send everything; returns the exit code.

    0: all sent. 1: a source was damaged or empty, or Kafka did not take a chunk; the rest was sent.
    130 or 143: stopped by Ctrl-C or SIGTERM; streams that had begun were ended where they were.

    Raises:
        UserError: no Kafka, no topic, an impossible request; nothing was sent.
    """
    if roles := request.options.roles:
        voices(roles, roles.count(",") + 1)  # a role that is none fits no file
    stop = Stop()
    sources = list(_sources(request, stop))
    metrics = ProducerMetrics()
    topic = Topics(settings.topic_prefix).call_audio
    with admin(settings) as client:
        require_topics(client, topic)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stop)
        sender = Sender(audio_producer(settings), topic.name, metrics)
        stack.callback(sender.close)
        health = Health(ready=True)
        if request.metrics_port is not None:
            telemetry = stack.enter_context(Telemetry("127.0.0.1", request.metrics_port, metrics.registry, health))
            console.print(f"metrics on http://127.0.0.1:{telemetry.port}/metrics", highlight=False)
        with reporter(console) as progress:
            replay = Replay(
                sender,
                speed=request.options.speed,
                stop=stop.event,
                reporter=progress,
                metrics=metrics,
                health=health,
            )
            replay.run(sources)
        sender.flush(STOP_FLUSH_S if stop.event.is_set() else None)
    _account(sender, replay.bad, len(sources), console)
    if stop.code:
        return stop.code
    return 1 if replay.bad or sender.failed else 0


def _sources(request: ProduceRequest, stop: Stop) -> Iterator[Source]:
    names = find(request.paths)
    ids = call_ids(["stdin"] if names == [STDIN] else names, request.call_id)
    for name, call_id in zip(names, ids, strict=True):
        yield Source(name, functools.partial(_open, request, stop, name, call_id))


def _open(request: ProduceRequest, stop: Stop, name: str, call_id: str) -> Playback:
    options = request.options
    if name == STDIN:
        channels = options.roles.count(",") + 1 if options.roles else 1
        recording = open_stdin(request.rate, channels, options.encoding, stop.event.is_set)
    else:
        recording = open_file(name, request.rate)
    return Playback(recording, copies(call_id, request.calls), options)


def _account(sender: Sender, bad: int, sources: int, console: Console) -> None:
    line = f"{sender.delivered} chunks from {sources - bad} of {sources} sources are in Kafka"
    console.print(line, highlight=False, soft_wrap=True)
    if sender.failed:
        console.print(
            f"{sender.failed} chunks are NOT in Kafka: {sender.first_error}", style="red", markup=False, soft_wrap=True
        )

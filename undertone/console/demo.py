"""`undertone demo`: Kafka, two workers, a replayed call, and its emotions on the screen; then all is stopped again."""

import re
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from rich.console import Console

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.console.processes import Child, undertone
from undertone.console.summary import report_worker, summarise
from undertone.console.watch import Cue, DemoError, Watch
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

SAMPLES = Path(__file__).parents[2] / "samples"
# When each recording begins, seconds: a call, and three callers who say one sentence each while it goes on.
REPLAY = {"call.flac": 0.0, "calm.flac": 2.0, "phone.wav": 8.0, "angry.flac": 16.0}
_WORKERS = ("demo-1", "demo-2")
# A worker needs 1.5 s on an idle machine, but two start at once, and the machine may be small and busy.
_READY_S = 60.0
_METRICS = re.compile(r"^ready: .*metrics (http://\S+)$", re.MULTILINE)
_OF_THE_PAGE = ("starlette", "sse_starlette", "uvicorn", "websockets", "httpx", "yaml")
_PAGE = re.compile(r"^ready (http://\S+)$", re.MULTILINE)


def demo(settings: KafkaSettings, console: Console) -> int:
    """Run the demo; returns the exit code: 0 when every caller has a summary, else 1.

    Kafka is the one that `settings` name, with topics of the demo's own that are deleted at the end. Where they name
    none it is a local one that lives as long as the demo. No process is left behind, however it ends.

    Raises:
        UserError: Kafka cannot be started or reached, or the recordings are missing.
    """
    if not all((SAMPLES / name).exists() for name in REPLAY):
        raise UserError(f"the demo's recordings are not in {SAMPLES}: run it from a clone of the repository")
    try:
        logs = Path(tempfile.mkdtemp(prefix="undertone-demo-"))
    except OSError as error:
        raise UserError(
            f"no place for the demo's logs: {error}; set TMPDIR to a directory that can be written"
        ) from error
    _say(console, f"logs are in {logs}")
    try:
        with _terminable(), ExitStack() as stack:
            settings = stack.enter_context(_kafka(settings, logs, console))
            page = _start_page(stack, settings, logs, console)
            workers = _start_workers(stack, settings, logs, console)
            if page:
                url = _told(page, _PAGE, time.monotonic() + _READY_S)
                _say(console, f"the same in a browser, while it lasts: {url}")
            stack.callback(_say, console, "stopping what was started")
            watch = Watch(settings, list(workers), console)
            watch.run([Cue(at_s, partial(_play, stack, name, settings, logs)) for name, at_s in REPLAY.items()])
            summarise(watch.board, console)
            for worker, url in workers.items():
                report_worker(worker, url, logs / f"{worker.name}.metrics.txt", console)
    except DemoError as error:
        print(f"undertone demo: {error}", file=sys.stderr)
        return 1
    _say(console, f"all is stopped; logs and last metrics are in {logs}")
    return 0


@contextmanager
def _kafka(settings: KafkaSettings, logs: Path, console: Console) -> Iterator[KafkaSettings]:
    """Settings of a Kafka that has the demo's topics."""
    if "bootstrap_servers" in settings.model_fields_set:
        prefix = f"{settings.topic_prefix}demo-{uuid.uuid4().hex[:8]}."
        settings = settings.model_copy(update={"topic_prefix": prefix})
        _say(console, f"Kafka at {settings.bootstrap_servers}, topics {prefix}*")
        # -1: as many copies as this cluster gives by default.
        with _topics(settings, replication_factor=-1, delete=True):
            yield settings
        return
    began = time.monotonic()
    _say(console, "starting Apache Kafka on a free port of 127.0.0.1")
    data = logs / "kafka"
    try:
        with local_broker(data_dir=data, say=partial(_say, console)) as broker:
            settings = settings.model_copy(update={"bootstrap_servers": broker.bootstrap_servers})
            _say(console, f"Kafka at {broker.bootstrap_servers} after {time.monotonic() - began:.1f} s")
            with _topics(settings, replication_factor=1, delete=False):
                yield settings
    finally:
        # Its log stays; the audio and the events go.
        shutil.rmtree(data / "log", ignore_errors=True)


@contextmanager
def _topics(settings: KafkaSettings, *, replication_factor: int, delete: bool) -> Iterator[None]:
    topics = Topics(settings.topic_prefix)
    with admin(settings) as client:
        ensure_topics(client, topics, partitions=8, replication_factor=replication_factor)
    try:
        yield
    finally:
        if delete:
            with admin(settings) as client:
                client.delete_topics([topic.name for topic in topics.all])


def _start_page(stack: ExitStack, settings: KafkaSettings, logs: Path, console: Console) -> Child | None:
    """The page for browsers, which gets ready beside the workers; None where what it needs is not installed."""
    if any(find_spec(module) is None for module in _OF_THE_PAGE):
        _say(console, "no page for browsers: `undertone console` needs more than is installed")
        return None
    command = ["console", "--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"]
    # The demo's calls are no part of anybody's history.
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="undertone-demo-console-"))
    log = logs / "console.log"
    return stack.enter_context(undertone("console", command, settings, log, UNDERTONE_CONSOLE_FOLDER=folder))


def _start_workers(stack: ExitStack, settings: KafkaSettings, logs: Path, console: Console) -> dict[Child, str]:
    """Two workers that are ready, and where their metrics are."""
    began = time.monotonic()
    _say(console, "starting two workers")
    command = ["worker", "--metrics-port", "0"]
    workers = [
        stack.enter_context(undertone(name, [*command, "--instance-id", name], settings, logs / f"{name}.log"))
        for name in _WORKERS
    ]
    urls = {worker: _told(worker, _METRICS, began + _READY_S) for worker in workers}
    for worker, url in urls.items():
        _say(console, f"{worker.name} is ready after {time.monotonic() - began:.1f} s, metrics at {url}")
    return urls


def _told(child: Child, line: re.Pattern[str], deadline: float) -> str:
    """The address in the line with which a child says that it is ready."""
    while time.monotonic() < deadline:
        if found := line.search(child.log()):
            return found[1]
        if child.code is not None:
            raise DemoError(f"{child.name} has ended: {child.last_words()} (log: {child.log_file})")
        time.sleep(0.1)
    raise DemoError(f"{child.name} is not ready after {_READY_S:.0f} s: see {child.log_file}")


def _play(stack: ExitStack, name: str, settings: KafkaSettings, logs: Path) -> Child:
    """Start a live replay of one recording."""
    log = logs / f"produce-{Path(name).stem}.log"
    return stack.enter_context(undertone(f"produce {name}", ["produce", str(SAMPLES / name)], settings, log))


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does: everything is stopped in order."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

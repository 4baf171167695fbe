"""A whole installation for tests: real worker processes, and readers of what they wrote."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.paths import ROOT
from undertone.messaging.clients import audio_producer, reader
from undertone.messaging.settings import KafkaSettings

# Short, so that a takeover can be waited for; the broker of the tests allows it.
SESSION_TIMEOUT_S = 4
PATIENCE_S = 120


class WorkerProcess:
    """A worker in a process of its own; its output goes to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._seen = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)

    @property
    def output(self) -> str:
        """What this process has printed."""
        return self._log.read_bytes()[self._seen :].decode()

    def ready(self) -> "WorkerProcess":
        """Wait for the line that says that its partitions are being read."""
        wait_for(
            lambda: "ready:" in self.output or self.process.poll() is not None,
            "the worker's ready line",
            said=self.last_words,
        )
        assert self.process.poll() is None, self.output
        return self

    def last_words(self) -> str:
        """Abort a worker that does not do what a test waits for: its log's end, and where each thread of it stood."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
        return self.output[-8000:]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE_S)


class Installation:
    """The topics of one test, and the processes that work on them."""

    def __init__(
        self, settings: KafkaSettings, environment: Mapping[str, str], topics: Topics, directory: Path
    ) -> None:
        self.settings = settings
        self.topics = topics
        self._environment = environment
        self._directory = directory
        self._workers: list[WorkerProcess] = []

    def worker(self, instance: str = "w1", program: Sequence[str] = (), **variables: object) -> WorkerProcess:
        """Start a worker, or another `program` in its place; `variables` become UNDERTONE_<NAME>."""
        environment = {
            **self._environment,
            "UNDERTONE_INSTANCE_ID": instance,
            "UNDERTONE_METRICS_PORT": "0",
            "UNDERTONE_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_S),
            "PYTHONFAULTHANDLER": "1",  # for `last_words`
        }
        environment |= {f"UNDERTONE_{name.upper()}": str(value) for name, value in variables.items()}
        command = [sys.executable, *(program or ("-c", "from undertone.cli.main import main; main()", "worker"))]
        worker = WorkerProcess(command, environment, self._directory / f"{instance}.log")
        self._workers.append(worker)
        return worker

    def send(self, chunks: Iterable[AudioChunk]) -> None:
        """Publish chunks as they are."""
        with closing(audio_producer(self.settings)) as producer:
            for chunk in chunks:
                producer.send(
                    self.topics.call_audio.name, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers()
                )
            producer.flush()

    def records(self, topic: str, enough: Callable[[list[ConsumerRecord]], bool]) -> list[ConsumerRecord]:
        """Committed records of a topic from its start, until there are enough, and then none more for a second."""
        found: list[ConsumerRecord] = []
        with closing(reader(self.settings, auto_offset_reset="earliest")) as consumer:
            consumer.assign([TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)])
            consumer.seek_to_beginning()
            end = time.monotonic() + PATIENCE_S
            quiet_since = None
            while quiet_since is None or time.monotonic() - quiet_since < 1:
                assert time.monotonic() < end, (
                    f"{topic}: {len(found)} records after {PATIENCE_S} s\n{self._last_words()}"
                )
                new = [record for some in consumer.poll(timeout_ms=200).values() for record in some]
                found += new
                if new or not enough(found):
                    quiet_since = None
                elif quiet_since is None:
                    quiet_since = time.monotonic()
        return found

    def events(self, count: int) -> list[EventEnvelope]:
        """All events, once there are at least `count`."""
        records = self.records(self.topics.emotion_events.name, lambda found: len(found) >= count)
        return [EventEnvelope.model_validate_json(record.value) for record in records]

    def dead_letters(self, count: int) -> list[ConsumerRecord]:
        """All dead letters, once there are at least `count`."""
        return self.records(self.topics.dead_letters.name, lambda found: len(found) >= count)

    def _last_words(self) -> str:
        return "\n".join(worker.last_words() for worker in self._workers)

    def close(self) -> None:
        """Leave no process behind."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.kill()


def wait_for(
    true: Callable[[], bool], what: str, seconds: float = PATIENCE_S, said: Callable[[], str] = lambda: ""
) -> None:
    """Wait until something is true; where it does not become so, the failure tells what was `said` meanwhile."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s for {what}\n{said()}"
        time.sleep(0.05)


def interleave(*streams: Sequence[AudioChunk]) -> Iterator[AudioChunk]:
    """Chunks of concurrent streams, in turn."""
    for row in range(max(len(stream) for stream in streams)):
        yield from (stream[row] for stream in streams if row < len(stream))

"""What every measurement stands on: an installation on Kafka, processes, and what they cost as /proc tells it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.audio import Encoding
from schemas.topics import Topics
from tests.support.streams import customer, cut
from undertone.acoustics.frames import BLOCK_FRAMES, block_samples, hop_samples
from undertone.acoustics.level import sum_squares
from undertone.inference.model import Model
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

UNDERTONE = [sys.executable, "-c", "from undertone.cli.main import main; main()"]
_PATIENCE_S = 300.0


def cpu_seconds(process: int) -> float:
    """What a process has taken of the processors."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: int) -> int:
    """What a process holds of the machine's memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])


def installation(bootstrap_servers: str, partitions: int = 8) -> KafkaSettings:
    """Topics under a prefix of their own, so that no measurement finds what another has left."""
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, topic_prefix=f"benchmark-{uuid.uuid4().hex[:6]}.")
    with admin(kafka) as client:
        ensure_topics(client, Topics(kafka.topic_prefix), partitions=partitions)
    return kafka


def environment(kafka: KafkaSettings, **settings: object) -> dict[str, str]:
    """The environment of a process that works on `kafka`; `settings` are variables without their prefix."""
    given = {f"UNDERTONE_{name.upper()}": str(value) for name, value in settings.items()}
    return {
        **os.environ,
        "UNDERTONE_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": kafka.topic_prefix,
        "PYTHONUNBUFFERED": "1",
        **given,
    }


def until(reached: Callable[[], bool], what: str, patience_s: float = _PATIENCE_S, look_s: float = 0.2) -> None:
    """Wait for something that a process does; a benchmark that waits for ever measures nothing."""
    end = time.monotonic() + patience_s
    while not reached():
        if time.monotonic() > end:
            sys.exit(f"given up: {what} did not come within {patience_s:.0f} s")
        time.sleep(look_s)


class Worker:
    """A worker process, from its ready line on."""

    def __init__(self, kafka: KafkaSettings, name: str = "benchmark", **settings: object) -> None:
        command = [*UNDERTONE, "worker", "--instance-id", name, "--metrics-port", "0"]
        began = time.monotonic()
        self.process = subprocess.Popen(
            command, env=environment(kafka, **settings), stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.ready_s = time.monotonic() - began
        found = re.search(r"http://\S+", line)
        if not found:
            sys.exit("the worker did not become ready; its message is above")
        self._url = found.group(0)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it in good order: it saves its states."""
        self.process.terminate()
        self.process.wait()

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        return cpu_seconds(self.process.pid)

    def value(self, name: str, **labels: str) -> float:
        """The sum of a metric over those of its labels that are not given."""
        with urllib.request.urlopen(self._url, timeout=60) as answer:  # noqa: S310  (our own worker's address)
            lines = answer.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if re.match(rf"undertone_{name}(\{{| )", line) and all(label in line for label in wanted)
        )


@contextmanager
def produce(kafka: KafkaSettings, sound: Path, calls: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`undertone produce` as people run it, mu-law as on the telephone; ended with the block."""
    command = [*UNDERTONE, "produce", str(sound), "--calls", str(calls), "--encoding", "pcmu", *options]
    process = subprocess.Popen(command, env=environment(kafka), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()


def speech(seconds: float) -> tuple[NDArray[np.int16], int]:
    """Continuous speech: the sample call's customer without the blocks that the gate hears no word in; and its rate."""
    samples, rate = customer()
    gate, block = Model.load().gate, block_samples(rate)
    blocks = samples[: samples.size // block * block].reshape(-1, block)
    hops = blocks.reshape(1, -1, hop_samples(rate))
    spoken = gate.step(sum_squares(hops), hop_samples(rate), gate.initial_state(1)).raw.reshape(-1, BLOCK_FRAMES)
    heard = blocks[spoken.mean(axis=1) > 0.5].ravel()
    return np.resize(heard, int(seconds * rate)), rate


def write_speech(path: Path, seconds: float) -> Path:
    """The same as a file."""
    samples, rate = speech(seconds)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def publish(kafka: KafkaSettings, calls: int, seconds: float, name: str = "call") -> None:
    """Half seconds of speech of streams that stay open, in the order of their time; as fast as Kafka takes them."""
    samples, rate = speech(seconds)
    one = cut(samples, rate, rate // 2, encoding=Encoding.PCMU, start=datetime.now(UTC), end=False)
    topic = Topics(kafka.topic_prefix).call_audio.name
    with closing(audio_producer(kafka)) as producer:
        for chunk in one:
            for call in range(calls):
                said = chunk.model_copy(update={"call_id": f"{name}-{call}"})
                producer.send(topic, key=said.stream.encode(), value=said.audio, headers=said.headers())
        producer.flush()

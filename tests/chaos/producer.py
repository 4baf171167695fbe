"""The producer of a disturbed run: it may be killed at any time, and goes on from what it knows to be acknowledged.

python -m tests.chaos.producer SEED CALLS CHUNKS DIRECTORY

It sends chunk after chunk of the plan, as many as `DIRECTORY/released` allows (a count, and chunks a second), and notes
in `DIRECTORY/acknowledged` what Kafka has taken. What was under way when it died is sent again: repeats, which workers
must drop.
"""

import os
import sys
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from kafka.producer.future import RecordMetadata

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.chaos.plan import Plan
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

_MAX_IN_FLIGHT = 500
# Longer than any outage of a run: a chunk that is given up would be a gap, which is another subject.
_DELIVERY_MS = 900_000
_FAILED = 3


class Journal:
    """The last acknowledged sequence number of each stream, in a file that survives kill -9."""

    def __init__(self, file: Path) -> None:
        self.last: dict[str, int] = {}
        if file.exists():
            for line in file.read_text().splitlines():
                stream, _, number = line.rpartition(" ")
                self.last[stream] = int(number)
        # Without a buffer: a line is the system's as soon as it is written, and outlives the process.
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, chunk: AudioChunk) -> None:
        """Kafka has taken `chunk`."""
        os.write(self._file, f"{chunk.stream} {chunk.sequence}\n".encode())


class Sender:
    """Sends with a bound on what is under way."""

    def __init__(self, settings: KafkaSettings, journal: Journal) -> None:
        self._topic = Topics(settings.topic_prefix).call_audio.name
        self._producer = idempotent_producer(
            settings, linger_ms=10, batch_size=64 * 1024, delivery_timeout_ms=_DELIVERY_MS
        )
        self._journal = journal
        self._room = threading.Semaphore(_MAX_IN_FLIGHT)

    def send(self, chunk: AudioChunk) -> None:
        """Send one chunk; waits while too many are under way."""
        self._room.acquire()
        future = self._producer.send(self._topic, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())
        future.add_callback(partial(self._taken, chunk))
        future.add_errback(_give_up)

    def close(self) -> None:
        """Wait for all acknowledgements."""
        self._producer.flush()
        self._producer.close()

    def _taken(self, chunk: AudioChunk, _: RecordMetadata) -> None:
        self._journal.note(chunk)
        self._room.release()


def _give_up(error: Exception) -> None:
    # At once: no later chunk may be sent behind one that Kafka did not take.
    sys.stderr.write(f"not taken: {error!r}\n")
    os._exit(_FAILED)


class Release:
    """How much may be sent, as the run's file says at the moment."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def wait_for(self, position: int) -> None:
        """Return when the chunk at `position` of the plan may be sent."""
        while position >= self._numbers()[0]:
            time.sleep(0.05)

    def pause(self) -> None:
        """The time between two chunks."""
        time.sleep(1 / self._numbers()[1])

    def _numbers(self) -> tuple[float, float]:
        allowed, per_second = self._file.read_text().split()
        return float(allowed), float(per_second)


def main() -> None:
    """Send the plan's chunks; ends when Kafka has taken them all."""
    seed, calls, chunks = map(int, sys.argv[1:4])
    directory = Path(sys.argv[4])
    journal, release = Journal(directory / "acknowledged"), Release(directory / "released")
    with closing(Sender(KafkaSettings.load(), journal)) as sender:
        for position, chunk in enumerate(Plan(seed, calls, chunks).in_turn()):
            if chunk.sequence > journal.last.get(chunk.stream, -1):
                release.wait_for(position)
                sender.send(chunk)
                release.pause()


if __name__ == "__main__":
    main()

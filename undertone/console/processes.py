"""Child processes that are stopped in order, and that never outlive this process, whatever ends it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from undertone.devbroker.die_with_parent import tethered
from undertone.messaging.settings import KafkaSettings

# A worker finishes its batch and commits, which takes well below a second.
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Child:
    """A running `undertone` command. All that it says is in `log_file`."""

    name: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self.process.poll()

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text(errors="replace")

    def last_words(self) -> str:
        """The last line that it said."""
        return (self.log().strip().splitlines() or ["it said nothing"])[-1].strip()[:300]


@contextmanager
def undertone(
    name: str, arguments: Sequence[str], settings: KafkaSettings, log_file: Path, **variables: str
) -> Iterator[Child]:
    """Run `undertone ARGUMENTS` on the Kafka of `settings` until the block ends, with more of the environment.

    Start it from a thread that outlives the block: the system kills it when that thread ends.
    """
    # -P: a directory named worker/ where the user stands must not be taken for ours.
    command = [sys.executable, "-P", "-c", "from undertone.cli.main import main; main()", *arguments]
    environment = os.environ | {
        "UNDERTONE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": settings.topic_prefix,
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            tethered(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # Ctrl-C is for us alone: we stop the producers first, then the workers, then Kafka.
            start_new_session=True,
        )
    try:
        yield Child(name, log_file, process)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        finally:
            process.kill()
            process.wait()

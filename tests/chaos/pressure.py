"""python -m tests.chaos.pressure: a worker whose broker, or whose model, is far too slow for its load.

Its memory must stay within a bound, nothing may be dropped, and once the pressure is gone it must catch up at a stated
multiple of real time: so many seconds of every call in a second.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from schemas.topics import Topics
from tests.chaos.cluster import running_cluster
from tests.chaos.load import CHUNK_S, Load, lag
from tests.chaos.network import Network
from tests.chaos.verdict import by_stream, judge
from tests.chaos.watcher import Seen, envelopes
from tests.chaos.workers import Worker
from tests.support.installation import wait_for
from tests.support.streams import hear
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin, reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

# A fresh worker has 200 MiB; two answers of 8 MiB, their records as Python objects and one batch on its way out are the
# rest. It must not depend on how long the pressure lasts or on how much waits.
MAX_RSS_MIB = 450
CATCH_UP = 2.0
_BYTES_PER_STREAM = 16_000  # a second of 8 kHz, 16 bit
_PATIENCE_S = 600.0

How = Literal["slow_broker", "slow_model"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured."""

    streams: int
    pressure_s: float
    behind_chunks: int  # when the pressure ended
    max_rss_mib: int
    catch_up: float  # seconds of every call in a second
    lost: int
    repeated: int
    differing: int

    @property
    def whole(self) -> bool:
        """Whether nothing was dropped and memory stayed within its bound."""
        return not (self.lost or self.repeated or self.differing) and self.max_rss_mib < MAX_RSS_MIB


class Memory:
    """The largest resident memory of a process, looked at five times a second."""

    def __init__(self, worker: Worker) -> None:
        self.largest = 0
        self._worker = worker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> int:
        """Stop looking; returns it in MiB."""
        self._over.set()
        self._thread.join(10)
        return self.largest >> 20

    def _run(self) -> None:
        while not self._over.wait(0.2) and self._worker.running:
            self.largest = max(self.largest, self._worker.rss_bytes)


def squeeze(how: How, directory: Path, streams: int, seconds: float) -> Outcome:
    """Let `streams` calls go on in real time for `seconds` with a worker that can take a tenth, then let it go."""
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        link = network.link()
        cluster = stack.enter_context(running_cluster(directory, {"w1": link}, nodes=1))
        settings = cluster.settings
        with closing(admin(settings)) as client:
            ensure_topics(client, Topics(), partitions=2)
        flag = directory / "slow"
        worker = Worker(
            settings.model_copy(update={"bootstrap_servers": cluster.servers_for("w1")}),
            "w1",
            directory,
            # A round of a quarter of a second for all streams takes ten times as long as it may.
            program=("-m", "tests.chaos.slow_worker", str(flag), "2.5"),
        )
        stack.callback(worker.kill)
        worker.start()
        worker.ready()
        memory = Memory(worker)
        load = stack.enter_context(closing(Load(settings, streams)))
        pressure: AbstractContextManager[None] = _slow_model(flag)
        if how == "slow_broker":
            pressure = link.slow(bytes_per_s=streams * _BYTES_PER_STREAM / 10)
        with pressure:
            over = threading.Event()
            threading.Timer(seconds, over.set).start()
            load.send_until(over, streams / CHUNK_S)
        behind, start = lag(settings), time.monotonic()
        wait_for(lambda: lag(settings) == 0, "the worker to catch up", _PATIENCE_S, lambda: worker.output[-4000:])
        took = time.monotonic() - start
        largest = memory.close()
        alone = {stream: hear(Engine(Model.load()), chunks) for stream, chunks in load.streams().items()}
        verdict = judge(alone, by_stream(envelopes(_events(settings))))
        catch_up = behind * CHUNK_S / streams / max(took, 0.01)
        return Outcome(
            streams, seconds, behind, largest, round(catch_up, 1), verdict.lost, verdict.repeated, verdict.differing
        )


@contextmanager
def _slow_model(flag: Path) -> Iterator[None]:
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


def _events(settings: KafkaSettings) -> Iterator[Seen]:
    with closing(reader(settings)) as consumer:
        partitions = partitions_of(consumer, Topics(settings.topic_prefix).emotion_events.name)
        for record in read_to_end(settings, consumer, partitions):
            yield Seen(record.partition, record.offset, record.value)


def main() -> int:
    """Squeeze in each way, print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.pressure", description=__doc__)
    parser.add_argument("--streams", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    said: dict[str, object] = {}
    passed = True
    for how in get_args(How):
        with tempfile.TemporaryDirectory() as directory:
            outcome = squeeze(how, Path(directory), options.streams, options.seconds)
        said[how] = asdict(outcome)
        passed = passed and outcome.whole and outcome.catch_up >= CATCH_UP
    sys.stdout.write(json.dumps(said | {"passed": passed}) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

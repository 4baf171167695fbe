"""python -m tests.chaos.recovery: how soon events go on after kill -9, and what a rolling restart takes from others.

Two workers hold the streams. One is killed and stays away; from then on the time is taken until each of its partitions
has events again. Bound: the session timeout and 3 s, and no more heard again than one worker may leave unsaved. Then
three workers are restarted one by one under their names.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread

from schemas.topics import Topics
from tests.chaos.load import Clock, Load
from tests.chaos.workers import Worker
from tests.support.installation import wait_for
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.saving import MOST_UNSAVED

PARTITIONS = 8
AFTER_SESSION_S = 3.0
_PATIENCE_S = 300.0
_KINDS_OF_LOSS = ("revoked", "lost")


@dataclass(frozen=True, slots=True)
class Takeover:
    """What was measured."""

    streams: int  # that the killed worker held
    session_timeout_s: float
    first_event_s: float
    last_partition_s: float
    heard_again: int  # chunks

    @property
    def passed(self) -> bool:
        """Whether all its partitions went on in time, and no more was heard again than is allowed."""
        in_time = self.last_partition_s <= self.session_timeout_s + AFTER_SESSION_S
        return in_time and self.heard_again <= MOST_UNSAVED


def takeover(
    settings: KafkaSettings, directory: Path, streams: int, session_timeout_s: float, per_second: float
) -> Takeover:
    """Kill the one of two workers that holds half of the streams; topics must be there."""
    killed, left = (
        Worker(
            settings,
            name,
            directory,
            session_timeout_s=session_timeout_s,
            # The dead one's open transaction is over when its session is: the broker looks every 10 s.
            transaction_timeout_s=max(session_timeout_s - 10, 2),
        )
        for name in ("w1", "w2")
    )
    clock = Clock(settings)
    with closing(Load(settings, streams)) as load:
        try:
            _start_both(killed, left)
            for _ in range(2):
                load.send_round()
            wait_for(lambda: _open(killed) + _open(left) >= streams, "all streams to be open", _PATIENCE_S)
            held = int(_open(killed))
            mine = {int(number) for number in killed.labels("undertone_lag_records", "partition")}
            over = Event()
            speaking = Thread(target=load.send_until, args=(over, per_second), daemon=True)
            speaking.start()
            time.sleep(3)  # a kill in the middle of work
            killed.kill()
            moment = time.monotonic()
            # What the dead one committed just before is read just after: only what comes later is a takeover.
            since = moment + min(session_timeout_s / 2, 2)
            wait_for(lambda: all(clock.first_after(n, since) for n in mine), "events to go on", _PATIENCE_S)
            after = [(clock.first_after(number, since) or since) - moment for number in mine]
            heard_again = int(left.metric("undertone_replayed_chunks_total"))
            over.set()
            speaking.join(60)
        finally:
            clock.close()
            for worker in (killed, left):
                worker.kill()
    return Takeover(held, session_timeout_s, round(min(after), 2), round(max(after), 2), heard_again)


def _open(worker: Worker) -> float:
    return worker.metric("undertone_open_streams")


def _start_both(first: Worker, second: Worker) -> None:
    for worker in (first, second):
        worker.start()
        worker.ready()

    def share() -> bool:
        return all(
            len(worker.labels("undertone_lag_records", "partition")) == PARTITIONS / 2 for worker in (first, second)
        )

    wait_for(share, "both workers to have half of the partitions", _PATIENCE_S)


def rolling_restart(settings: KafkaSettings, directory: Path, count: int = 3) -> dict[str, float]:
    """Restart static members one after the other; returns by kind how often the others lost partitions meanwhile."""
    workers = [Worker(settings, f"static-{number}", directory, session_timeout_s=120) for number in range(count)]
    losses = dict.fromkeys(_KINDS_OF_LOSS, 0.0)
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.ready()
        wait_for(lambda: _shared(workers), "all workers to have partitions", _PATIENCE_S)
        for restarted in workers:
            others = [worker for worker in workers if worker is not restarted]
            before = {kind: _rebalances(others, kind) for kind in _KINDS_OF_LOSS}
            assert restarted.stop() == 0, restarted.output
            restarted.start()
            restarted.ready()
            wait_for(lambda: _shared(workers), "the restarted worker to have its partitions again", _PATIENCE_S)
            for kind in _KINDS_OF_LOSS:
                losses[kind] += _rebalances(others, kind) - before[kind]
    finally:
        for worker in workers:
            worker.kill()
    return losses


def _shared(workers: list[Worker]) -> bool:
    numbers = [worker.labels("undertone_lag_records", "partition") for worker in workers]
    return all(numbers) and sum(map(len, numbers)) == PARTITIONS


def _rebalances(workers: list[Worker], kind: str) -> float:
    return sum(worker.metric("undertone_rebalances_total", kind=kind) for worker in workers)


def main() -> int:
    """Start a Kafka, measure, print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.recovery", description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000, help="of both workers")
    parser.add_argument("--session-timeout", type=float, default=15.0)
    parser.add_argument("--per-second", type=float, default=60.0, help="chunks of half a second")
    options = parser.parse_args()
    said: dict[str, object] = {}
    passed = True
    for name in ("takeover", "rolling_restart"):
        with local_broker() as broker, tempfile.TemporaryDirectory() as directory:
            settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            with closing(admin(settings)) as client:
                ensure_topics(client, Topics(), partitions=PARTITIONS)
            if name == "takeover":
                found = takeover(
                    settings, Path(directory), options.streams, options.session_timeout, options.per_second
                )
                said[name], passed = asdict(found), passed and found.passed
            else:
                losses = rolling_restart(settings, Path(directory))
                said[name], passed = losses, passed and not any(losses.values())
    sys.stdout.write(json.dumps(said | {"passed": passed}) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

"""How long `undertone worker` takes from its command to its partitions being read.

    python -m benchmarks.worker_start [--times 9]

On a local Kafka that is warm: one worker has come and gone before the clock starts, so that Python's files and the
broker's code are in memory. Each worker is the restart of the one before, under its instance id.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from statistics import median

from schemas.topics import Topics
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

COMMAND = [sys.executable, "-c", "from undertone.cli.main import main; main()", "worker"]


def start(environment: dict[str, str]) -> tuple[float, float]:
    """Start a worker and stop it again; seconds until it was ready, and seconds of processor time until it had ended.

    Raises:
        SystemExit: it has ended without a ready line.
    """
    before = _processor_seconds()
    began = time.monotonic()
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        line = worker.stdout.readline()
        took = time.monotonic() - began
        worker.send_signal(signal.SIGTERM)
        worker.communicate()
    if not re.match("ready: ", line):
        sys.exit("the worker did not become ready; its message is above")
    return took, _processor_seconds() - before


def _processor_seconds() -> float:
    """What the workers that have ended have used."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Print each start and the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=9, help="starts that count")
    options = parser.parse_args()
    with local_broker(say=print) as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with admin(settings) as client:
            ensure_topics(client, Topics(), partitions=4)
        environment = os.environ | {
            "UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "UNDERTONE_METRICS_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        start(environment)
        starts = [start(environment) for _ in range(options.times)]
    for took, used in starts:
        print(f"ready after {took:.2f} s, {used:.2f} s of processor time")
    print(
        f"median: {median(took for took, _ in starts):.2f} s, {median(used for _, used in starts):.2f} s of processor"
    )


if __name__ == "__main__":
    main()

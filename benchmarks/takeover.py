"""How long calls wait when a worker is killed and comes back.

    python -m benchmarks.takeover [--calls 100] [--seconds 20]

Continuous speech as N live calls, to a local Kafka of its own. A worker hears them, is killed with -9 and started again
under its name: what the restart did until its calls went on. `UNDERTONE_STATE_SECONDS` is the trade between that and
the state that is written for each stream and second, which `make bench` has.
"""

import argparse
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.stand import Worker, installation, produce, write_speech
from undertone.devbroker.broker import local_broker

PARTITIONS = 4


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20, help="of live calls; the worker is killed at 3/4 of them")
    options = parser.parse_args()
    with local_broker(say=print) as broker, tempfile.TemporaryDirectory() as folder:
        kafka = installation(broker.bootstrap_servers, PARTITIONS)
        sound = write_speech(Path(folder) / "speech.wav", options.seconds)
        worker = Worker(kafka)
        with produce(kafka, sound, options.calls) as producer:
            time.sleep(0.75 * options.seconds)
            worker.process.kill()
            worker.process.wait()
            with Worker(kafka) as restart:
                replayed, restored_s = restart.value("replayed_chunks_total"), restart.value("restore_seconds_sum")
                producer.wait()
    console = Console()
    console.print(f"{replayed:.0f} chunks heard again, {restored_s / PARTITIONS:.2f} s to restore a partition")
    console.print(f"  ready {restart.ready_s:.2f} s after its start")


if __name__ == "__main__":
    main()

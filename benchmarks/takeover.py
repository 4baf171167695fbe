"""What state costs while calls are live, and how long a takeover waits for it.

    python -m benchmarks.takeover [--calls 100] [--seconds 20]

The bundled call as N concurrent calls, written as they would be spoken, to a local Kafka of its own. A worker hears
them, is killed with -9 and started again under its name: bytes on `worker-state` for each stream and second before the
kill, and what the restart did until its calls went on. `UNDERTONE_STATE_SECONDS` is the trade between the two.
"""

import argparse
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing

from kafka import TopicPartition
from rich.console import Console

from benchmarks.worker_throughput import chunks
from schemas.topics import Topics
from tests.support.streams import customer
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin, audio_producer, reader
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

PARTITIONS = 4
_COMMAND = [sys.executable, "-c", "from undertone.cli.main import main; main()", "worker", "--metrics-port", "0"]


class Worker:
    """A worker process, from its start to its ready line."""

    def __init__(self, kafka: KafkaSettings) -> None:
        environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
        began = time.monotonic()
        self.process = subprocess.Popen(_COMMAND, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.ready_s = time.monotonic() - began
        found = re.search(r"http://\S+", line)
        if not found:
            sys.exit("the worker did not become ready; its message is above")
        self._url = found.group(0)

    def value(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310  (our own worker's address)
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"undertone_{name}(\{{| )", line))


def speak(kafka: KafkaSettings, calls: int, seconds: float) -> None:
    """Write what N calls say, as they say it: half a second at a time."""
    samples, rate = customer()
    pieces = list(chunks(samples[: int(seconds * rate)], rate, calls, rate // 2))
    topic, began = Topics().call_audio.name, time.monotonic()
    with closing(audio_producer(kafka)) as producer:
        for number, chunk in enumerate(pieces):
            time.sleep(max(0.0, began + 0.5 * number / calls - time.monotonic()))
            producer.send(topic, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())


def state_bytes(kafka: KafkaSettings) -> int:
    """Bytes of keys and values on `worker-state`, compression aside."""
    found, topic = 0, Topics().worker_state.name
    with closing(reader(kafka)) as consumer:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(places)
        while any((consumer.position(place) or 0) < end for place, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                found += sum(len(record.key) + len(record.value or b"") for record in records)
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20, help="of live calls; the worker is killed at 3/4 of them")
    options = parser.parse_args()
    with local_broker(say=print) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with admin(kafka) as client:
            ensure_topics(client, Topics(), partitions=PARTITIONS)
        worker = Worker(kafka)
        speaking = threading.Thread(target=speak, args=[kafka, options.calls, options.seconds])
        speaking.start()
        time.sleep(0.75 * options.seconds)
        heard_s = 0.5 * worker.value("chunks_total")
        worker.process.kill()
        worker.process.wait()
        written = state_bytes(kafka)
        restart = Worker(kafka)
        replayed, restored_s = restart.value("replayed_chunks_total"), restart.value("restore_seconds_sum")
        speaking.join()
        restart.process.terminate()
        restart.process.wait()
    console = Console()
    console.print(f"{options.calls} calls: {written / heard_s:.0f} bytes of state for each stream and second")
    console.print(f"restart: {replayed:.0f} chunks heard again, {restored_s / PARTITIONS:.2f} s to restore a partition")
    console.print(f"  ready {restart.ready_s:.2f} s after its start")


if __name__ == "__main__":
    main()

"""How many live calls one core keeps up with, and where its time goes.

    python benchmarks/worker_throughput.py [--calls 200] [--chunk-ms 500] [--seconds 20]

Publishes the customer's side of the bundled call as N concurrent calls, then lets one worker in this process read
them. A poll brings as many chunks as N live calls send within the batch time, so the shares are those of live work;
`--backlog` lets it take all it can, as after an outage. Seconds of audio per second of CPU time are the calls that a
core keeps up with. Needs a Kafka (UNDERTONE_BOOTSTRAP_SERVERS), where it leaves topics under a prefix of its own.
"""

import argparse
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding, Role
from schemas.topics import Topics
from undertone.acoustics.codecs import encode
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.service import Worker
from worker.settings import WorkerSettings

CALL = Path(__file__).parent.parent / "samples" / "call.flac"
STAGES = ("poll", "decode", "engine", "state", "publish", "commit")


def chunks(samples: NDArray[np.int16], rate: int, calls: int, size: int) -> Iterator[AudioChunk]:
    """The chunks of all calls in the order of their time; each call begins at another place of the recording."""
    start = datetime.now(UTC)
    shifted = [np.roll(samples, -997 * call) for call in range(calls)]
    for sequence, first in enumerate(range(0, len(samples), size)):
        for call, voice in enumerate(shifted):
            yield AudioChunk(
                call_id=f"call-{call}",
                channel="customer",
                role=Role.CUSTOMER,
                sequence=sequence,
                first_sample=first,
                start_time=start + timedelta(milliseconds=call),
                encoding=Encoding.PCMU,
                sample_rate=8000 if rate == 8000 else 16000,
                audio=encode(voice[first : first + size], Encoding.PCMU),
                end_of_stream=first + size >= len(samples),
            )


def main() -> None:
    """Publish, catch up, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--chunk-ms", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20, help="of audio a call")
    parser.add_argument("--backlog", action="store_true", help="batches as large as they can be")
    options = parser.parse_args()

    samples, rate = soundfile.read(CALL, dtype="int16", always_2d=True)
    samples = np.resize(samples[:, 1], int(options.seconds * rate))
    kafka = KafkaSettings.load(topic_prefix=f"benchmark-{uuid.uuid4().hex[:6]}.")
    topics = Topics(kafka.topic_prefix)
    # One partition: a poll then brings the calls in the order of their time, as live ones come.
    with closing(admin(kafka)) as client:
        ensure_topics(client, topics, partitions=1)
    with closing(audio_producer(kafka)) as producer:
        for chunk in chunks(samples, rate, options.calls, rate * options.chunk_ms // 1000):
            producer.send(topics.call_audio.name, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())
        producer.flush()

    settings = WorkerSettings.load(instance_id="benchmark")
    if not options.backlog:
        records = max(1, options.calls * settings.batch_ms // options.chunk_ms)
        settings = settings.model_copy(update={"batch_records": records})
    report(Worker(kafka, settings), options.calls, options.seconds)


def report(worker: Worker, calls: int, seconds: float) -> None:
    """Run the worker until every call has its summary, and print what it took."""

    def value(name: str, **labels: str) -> float:
        return worker.metrics.registry.get_sample_value(f"undertone_{name}", labels) or 0.0

    ready = threading.Event()
    thread = threading.Thread(target=worker.run, args=[lambda _: ready.set()])
    thread.start()
    ready.wait()
    start, cpu = time.perf_counter(), time.process_time()
    while value("events_total", type="summary") < calls:
        time.sleep(0.05)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    worker.stop()
    thread.join()

    turns, read = value("transactions_total", outcome="committed"), value("chunks_total")
    print(f"{calls} calls of {seconds:g} s: {wall:.1f} s, {cpu:.1f} s of CPU time")
    print(f"{calls * seconds / cpu:.0f} live calls a core; {read / turns:.0f} chunks a transaction")
    for stage in STAGES:
        spent = value("stage_seconds_sum", stage=stage)
        print(f"{stage:>8} {1000 * spent / turns:8.2f} ms a turn {1e6 * spent / read:8.0f} us a chunk")


if __name__ == "__main__":
    main()

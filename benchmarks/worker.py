"""A worker's other figures: its start, its memory, a backlog, several of it side by side, and the producer's load."""

import re
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, closing
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.stand import (
    UNDERTONE,
    Worker,
    cpu_seconds,
    environment,
    installation,
    produce,
    publish,
    resident_bytes,
    until,
)
from schemas.topics import Topics
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of

# Seconds of sound of so many streams are as many chunks as one of 5,000: what lies in Kafka fills what a worker keeps
# for answers and batches before the streams are counted as it does behind them.
_BASE_STREAMS, _BASE_SECONDS = 2000, 3


def start_seconds(bootstrap_servers: str, times: int) -> dict[str, Any]:
    """From the command to the first event that can be read, with a chunk waiting and the broker warm: the median.

    Each worker is the restart of the one before; the first warms what lies in memory and does not count.
    """
    kafka = installation(bootstrap_servers)
    topic = Topics(kafka.topic_prefix).emotion_events.name
    found, ready = [], []
    with closing(reader(kafka, fetch_max_wait_ms=50)) as consumer:
        consumer.assign(partitions_of(consumer, topic))
        for _ in range(times + 1):
            consumer.seek_to_end()
            for partition in consumer.assignment():
                consumer.position(partition)
            publish(kafka, calls=1, seconds=2)
            began = time.monotonic()
            with Worker(kafka) as worker:
                while not consumer.poll(timeout_ms=50):
                    pass
                found.append(time.monotonic() - began)
                ready.append(worker.ready_s)
    return {"median": round(median(found[1:]), 2), "ready": round(median(ready[1:]), 2), "starts": times}


def bytes_per_stream(bootstrap_servers: str, streams: int, times: int) -> dict[str, Any]:
    """Resident memory with `streams` more open, less that of the same worker before: of so many workers the middle one.

    It has heard full batches of other streams by then: what they take at their largest is the base's.
    """
    found = sorted((_memory(bootstrap_servers, streams) for _ in range(times)), key=itemgetter("bytes_per_stream"))
    return {**found[times // 2], "each": [one["bytes_per_stream"] for one in found]}


def _memory(bootstrap_servers: str, streams: int) -> dict[str, Any]:
    kafka = installation(bootstrap_servers)
    with Worker(kafka) as worker:

        def hear(count: int, seconds: int, name: str) -> tuple[float, int]:
            heard = worker.value("chunks_total")
            publish(kafka, count, seconds=seconds, name=name)
            until(lambda: worker.value("chunks_total") >= heard + 2 * seconds * count, f"{count} streams")
            time.sleep(12)  # the gauge is set once a second, and what lies free is given back every five
            return worker.value("open_streams"), resident_bytes(worker.process.pid)

        before, base = hear(_BASE_STREAMS, _BASE_SECONDS, "before")
        after, held = hear(streams, 1, "after")
    return {
        "streams": [before, after],
        "bytes": [base, held],
        "bytes_per_stream": round((held - base) / (after - before)),
    }


def backlog(bootstrap_servers: str, sound: Path, seconds: float, calls: int, workers: int = 1) -> dict[str, Any]:
    """`calls` calls a worker lie in Kafka before any worker runs: how fast they are heard."""
    kafka = installation(bootstrap_servers)
    with produce(kafka, sound, workers * calls, "--speed", "max") as producer:
        producer.wait()
    with ExitStack() as stack:
        began = time.monotonic()
        started = [Worker(kafka, f"benchmark-{number}") for number in range(workers)]
        for worker in started:
            stack.enter_context(worker)
        until(
            lambda: sum(worker.value("events_total", type="summary") for worker in started) >= workers * calls,
            f"the summaries of {workers * calls} calls",
            look_s=1,  # five a second would be a twentieth of what the worker does
        )
        took = time.monotonic() - began
        cpu, chunks = sum(one.cpu_s for one in started), sum(one.value("chunks_total") for one in started)
    return {
        "workers": workers,
        "calls": workers * calls,
        "audio_s": workers * calls * seconds,
        "wall_s": round(took, 2),
        "cpu_s": round(cpu, 2),
        "times_real_time": round(seconds / took, 1),
        "times_real_time_of_a_core": round(workers * seconds / cpu, 1),
        "us_per_chunk": round(1e6 * cpu / chunks, 1),
    }


def producer_load(bootstrap_servers: str, sound: Path, seconds: float, calls: int) -> dict[str, Any]:
    """One `undertone produce` with `calls` calls in real time: what it takes, and how late its chunks are."""
    kafka = installation(bootstrap_servers)
    command = [*UNDERTONE, "produce", str(sound), "--calls", str(calls), "--encoding", "pcmu", "--metrics-port", "0"]
    with subprocess.Popen(command, env=environment(kafka), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        if not found:
            sys.exit("the producer did not start; its message is above")
        before = cpu_seconds(process.pid)
        time.sleep(0.8 * seconds)  # before the first calls end
        cpu = cpu_seconds(process.pid) - before
        with urllib.request.urlopen(found.group(0), timeout=60) as answer:  # noqa: S310  (our own producer's address)
            text = answer.read().decode()
        process.terminate()
        process.communicate()
    sent = float(re.findall(r"^undertone_producer_late_seconds_count (\S+)", text, re.M)[0])
    within = float(re.findall(r'^undertone_producer_late_seconds_bucket\{le="0.1"\} (\S+)', text, re.M)[0])
    return {
        "calls": calls,
        "calls_per_core": round(calls * 0.8 * seconds / cpu),
        "cores": round(cpu / (0.8 * seconds), 2),
        "sent_of_due": round(sent / (2 * calls * 0.8 * seconds), 3),
        "within_100_ms": round(within / sent, 3),
    }

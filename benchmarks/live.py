"""Calls in real time through Kafka: what a worker takes of a core for them, what it writes, and how soon it answers."""

import json
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from kafka import TopicPartition

from benchmarks.stand import Worker, cpu_seconds, installation, produce, until
from schemas.topics import Topics
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

STAGES = ("poll", "decode", "engine", "state", "publish", "commit")
_PARTITIONS = 8
# All calls of a run begin within half a second, as no telephone system's do: thousands of state records, and a broker
# whose code is not compiled yet. What is answered in that time says nothing of the load, and would be all of its p99.
_SETTLED_MS = 3000


@dataclass(frozen=True, slots=True)
class Live:
    """One run: seconds of audio heard, and what that took. Latencies in ms, one for each update, where asked for."""

    audio_s: float
    cpu_s: float
    producer_cpu_s: float
    chunks: float
    transactions: float
    stages_us: dict[str, float]  # by stage of the worker's loop, of the clock, for each chunk
    state_bytes: int
    latencies: list[float]

    @property
    def streams_per_core(self) -> float:
        """Streams that one core keeps up with."""
        return self.audio_s / self.cpu_s


def middle(runs: Iterable[Live]) -> Live:
    """The run of some that took neither the most nor the least of a core."""
    by_cost = sorted(runs, key=lambda one: one.cpu_s)
    return by_cost[len(by_cost) // 2]


class _Listener(threading.Thread):
    """Reads events as they become readable, and notes when."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__()
        self._topic = Topics(kafka.topic_prefix).emotion_events.name
        self._consumer = reader(kafka, fetch_max_wait_ms=100)
        self._consumer.assign(partitions_of(self._consumer, self._topic))
        self._consumer.seek_to_end()
        for partition in self._consumer.assignment():
            self._consumer.position(partition)
        self._over = threading.Event()
        self.heard: list[tuple[float, bytes]] = []

    def run(self) -> None:
        while not self._over.is_set():
            polled = self._consumer.poll(timeout_ms=100)
            now = time.time()
            self.heard += [(now, record.value) for records in polled.values() for record in records]
        self._consumer.close()

    def finish(self) -> None:
        """Stop, once what is on its way has come."""
        time.sleep(0.5)
        self._over.set()
        self.join()


def run(
    bootstrap_servers: str,
    sound: Path,
    calls: int,
    *,
    roles: str | None = None,
    latency: bool = False,
    chunk_ms: int = 500,
) -> Live:
    """Play `sound` as `calls` live calls to one worker, until it has told every call's summary."""
    kafka = installation(bootstrap_servers, _PARTITIONS)
    info = soundfile.info(sound)
    streams = calls * info.channels
    options = ["--channels", roles] if roles else []
    with ExitStack() as stack:
        worker = stack.enter_context(Worker(kafka, analyze_agent="true"))
        listener = _Listener(kafka) if latency else None
        if listener:
            listener.start()
        began = worker.cpu_s
        producer = stack.enter_context(produce(kafka, sound, calls, "--chunk-ms", str(chunk_ms), *options))
        # Each look costs the worker 5 ms: none is needed while the calls last.
        time.sleep(info.duration)
        producer_cpu = cpu_seconds(producer.pid)
        until(lambda: worker.value("events_total", type="summary") >= streams, f"the summaries of {streams} streams")
        cpu = worker.cpu_s - began
        chunks = worker.value("chunks_total")
        stages = {name: 1e6 * worker.value("stage_seconds_sum", stage=name) / chunks for name in STAGES}
        transactions = worker.value("transactions_total", outcome="committed")
        if listener:
            listener.finish()
    latencies = _latencies(kafka, listener.heard) if listener else []
    audio_s = streams * info.duration
    return Live(audio_s, cpu, producer_cpu, chunks, transactions, stages, _state_bytes(kafka), latencies)


def _latencies(kafka: KafkaSettings, heard: list[tuple[float, bytes]]) -> list[float]:
    """From the broker's time of the chunk that an update needed last to when the update could be read, in ms.

    Of chunks that were written when the first calls had been under way for `_SETTLED_MS`.
    """
    needed: list[tuple[TopicPartition, int, float]] = []
    for moment, value in heard:
        event = json.loads(value)["data"]
        if event["type"] == "update":
            audio = event["audio"]
            needed.append((TopicPartition(audio["topic"], audio["partition"]), audio["last_offset"], moment))
    written: dict[tuple[TopicPartition, int], int] = {}
    with closing(reader(kafka)) as consumer:
        partitions = partitions_of(consumer, Topics(kafka.topic_prefix).call_audio.name)
        for record in read_to_end(kafka, consumer, partitions):
            written[TopicPartition(record.topic, record.partition), record.offset] = record.timestamp
    settled = min(written.values()) + _SETTLED_MS
    times = [(1000 * moment, written[partition, offset]) for partition, offset, moment in needed]
    return [answered - asked for answered, asked in times if asked >= settled]


def _state_bytes(kafka: KafkaSettings) -> int:
    """Bytes of keys and values on `worker-state`, compression aside."""
    with closing(reader(kafka)) as consumer:
        partitions = partitions_of(consumer, Topics(kafka.topic_prefix).worker_state.name)
        return sum(len(one.key) + len(one.value or b"") for one in read_to_end(kafka, consumer, partitions))


def percentiles(runs: Iterable[Live]) -> dict[str, float]:
    """p50 and p99 of the latencies of some runs, in whole ms: the median of the runs'."""
    by_run = [np.percentile(one.latencies, (50, 99)) for one in runs]
    p50, p99 = np.median(by_run, axis=0)
    return {"p50": round(float(p50)), "p99": round(float(p99))}


def told(live: Live) -> dict[str, Any]:
    """A run's facts beside its figure: what somebody needs who doubts it."""
    return {
        "audio_s": round(live.audio_s),
        "cpu_s": round(live.cpu_s, 2),
        "us_per_chunk": round(1e6 * live.cpu_s / live.chunks, 1),
        "chunks_per_transaction": round(live.chunks / live.transactions, 1),
        "stages_us": {name: round(cost, 1) for name, cost in live.stages_us.items()},
    }

"""Live calls over AudioSocket: how long from the wire to Kafka, and what a gateway process takes of a core.

    python -m benchmarks.gateway [--calls 500] [--seconds 30] [--idle 1000]

Starts a gateway, holds idle connections open, and lets N calls speak in real time, 20 ms of 8 kHz a message, each at
its own moment. The latency of a chunk is from the sending of its last sample to the time at which the broker wrote it
(LogAppendTime): what comes on top of the chunk's own length. Both clocks are this machine's. Callers run in a process
of their own, whose lateness is told too: what is late before it is sent is no fault of the gateway. Needs a Kafka
(UNDERTONE_BOOTSTRAP_SERVERS), where it leaves topics under a prefix of its own.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile

from benchmarks.stand import cpu_seconds
from schemas.audio import AudioChunk
from schemas.topics import Topics
from undertone.gateway.audiosocket_messages import Kind, encode_message
from undertone.messaging.clients import admin, reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

CALL = Path(__file__).parent.parent / "samples" / "call.flac"
RATE, STEP = 8_000, 160
CHUNK = RATE // 2

Results: TypeAlias = "multiprocessing.Queue[tuple[dict[tuple[str, int], float], list[float]]]"


def callers(port: int, calls: int, seconds: float, results: Results) -> None:
    """All calls in real time, in a process of their own: one loop, for a task for each would be late by itself.

    Notes when the last sample of each chunk went out, by its call and first sample, and how late each message was.
    """
    samples, _ = soundfile.read(CALL, dtype="int16", always_2d=True)
    voice = np.resize(samples[:, 1], int(seconds * RATE)).astype("<i2").tobytes()
    audio = [encode_message(0x10, voice[place : place + 2 * STEP]) for place in range(0, len(voice), 2 * STEP)]
    names = [uuid.uuid4() for _ in range(calls)]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in names]
    for name, connection in zip(names, sockets, strict=True):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(encode_message(Kind.UUID, name.bytes))
    late: list[float] = []
    sent: dict[tuple[str, int], float] = {}
    start = time.monotonic() + 1
    # Calls begin one after the other within a chunk's length: all at one moment would be a load of no telephone system.
    offsets = [call * CHUNK // calls // STEP for call in range(calls)]
    for number in range(len(audio) + CHUNK // STEP):
        for call, offset in enumerate(offsets):
            place = number - offset
            if not 0 <= place < len(audio):
                continue
            due = start + (number + call / calls) * STEP / RATE
            while (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            late.append(-wait)
            if (place + 1) * STEP % CHUNK == 0:
                sent[str(names[call]), (place + 1) * STEP - CHUNK] = time.time()
            sockets[call].sendall(audio[place])
    for connection in sockets:
        connection.sendall(encode_message(Kind.END))
        connection.close()
    results.put((sent, late))


async def idle(port: int, count: int, over: asyncio.Event) -> None:
    """Connections that say nothing."""
    writers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(count)]
    await over.wait()
    for writer in writers:
        writer.close()


def latencies(kafka: KafkaSettings, topics: Topics, sent: dict[tuple[str, int], float]) -> list[float]:
    """Seconds from sending to Kafka's own time of each chunk."""
    found = []
    with closing(reader(kafka)) as consumer:
        for record in read_to_end(kafka, consumer, partitions_of(consumer, topics.call_audio.name)):
            chunk = AudioChunk.from_record(record.key, record.value, record.headers)
            moment = sent.get((chunk.call_id, chunk.first_sample))
            if moment is not None and chunk.samples == CHUNK:
                found.append(record.timestamp / 1000 - moment)
    return found


def told(name: str, values: list[float]) -> None:
    """One line of percentiles, in ms."""
    p50, p99, most = (1000 * np.percentile(values, share) for share in (50, 99, 100))
    print(f"{name:>32}: p50 {p50:6.1f} ms, p99 {p99:6.1f} ms, most {most:6.1f} ms")


async def run(options: argparse.Namespace, kafka: KafkaSettings, topics: Topics) -> None:
    """Start the gateway, let them call, report."""
    environment = os.environ | {
        "UNDERTONE_TOPIC_PREFIX": kafka.topic_prefix,
        "UNDERTONE_GATEWAY_IDLE_S": "3600",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from undertone.cli.main import main; main()", "gateway"]
    options_ = ["--audiosocket", "127.0.0.1:0", "--metrics-port", "0"]
    gateway = subprocess.Popen([*command, *options_], env=environment, stdout=subprocess.PIPE, text=True)
    assert gateway.stdout
    port = next(int(line.rsplit(":", 1)[1]) for line in gateway.stdout if line.startswith("ready audiosocket"))
    over = asyncio.Event()
    waiting = asyncio.create_task(idle(port, options.idle, over))
    await asyncio.sleep(3)
    before, start = cpu_seconds(gateway.pid), time.monotonic()
    await asyncio.sleep(2)
    print(f"{options.idle} idle connections: {100 * (cpu_seconds(gateway.pid) - before) / 2:.1f} % of a core")
    results: Results = multiprocessing.Queue()
    speakers = multiprocessing.Process(target=callers, args=(port, options.calls, options.seconds, results))
    before, start = cpu_seconds(gateway.pid), time.monotonic()
    speakers.start()
    sent, late = await asyncio.to_thread(results.get)
    spent, wall = cpu_seconds(gateway.pid) - before, time.monotonic() - start
    over.set()
    await waiting
    gateway.terminate()
    await asyncio.to_thread(gateway.wait)
    found = await asyncio.to_thread(latencies, kafka, topics, sent)
    audio_s = options.calls * options.seconds
    print(f"{options.calls} calls of {options.seconds:g} s in {wall:.0f} s: {spent:.1f} s of CPU time of the gateway")
    print(f"{audio_s / spent:.0f} live calls a core")
    print(f"{len(found)} of {len(sent)} chunks in Kafka")
    told("callers late by", late)
    told("wire -> Kafka, beyond the chunk", found)


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--idle", type=int, default=1000)
    options = parser.parse_args()
    kafka = KafkaSettings.load(topic_prefix=f"benchmark-{uuid.uuid4().hex[:6]}.")
    topics = Topics(kafka.topic_prefix)
    with closing(admin(kafka)) as client:
        ensure_topics(client, topics, partitions=4)
    asyncio.run(run(options, kafka, topics))


if __name__ == "__main__":
    main()

"""Every figure of what Undertone costs, in one run: `make bench`, or `python -m benchmarks [--short]`.

Starts a Kafka of its own, measures one thing after the other, prints a table, and writes `latest.json` and plots to
`benchmarks/results/`. Processes are measured from outside, by /proc: processor time, which other work on the machine
changes less than the clock. What the machine was busy with beside it is in the result (`machine.load`).
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import needs

needs("trainer", "keras", "librosa", "matplotlib")

from benchmarks import client, live, report, stages, worker
from benchmarks.machine import Load, machine, versions
from benchmarks.peers import run as peers
from benchmarks.stand import write_speech
from tests.support.paths import SAMPLES
from undertone.devbroker.broker import Broker, local_broker
from undertone.inference.model import Model

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: `FULL` takes twenty minutes, `SHORT` three minutes."""

    calls: int
    seconds: float  # of each call
    latency_loads: tuple[float, ...]  # shares of what one core carries; the first is light, 0.7 is heavy
    latency_seconds: float
    open_streams: int
    starts: int
    backlog_calls: int
    backlog_seconds: float  # long enough that a worker's start is a small part
    workers: tuple[int, ...]
    workers_seconds: float
    chunks_ms: tuple[int, ...]
    streams: tuple[int, ...]
    peer_seconds: float
    producer_calls: int
    repeats: int  # of the stages
    runs: int  # of live calls, latency, memory and each number of streams: one differs by a tenth or more from the next


FULL = Size(400, 30, (0.1, 0.4, 0.7), 20, 5000, 5, 100, 600, (1, 2, 4), 60, (100, 250, 500, 1000),
            (10, 100, 1000, 5000, 20_000), 15, 3000, 5, 3)  # fmt: skip
SHORT = Size(100, 8, (0.1, 0.7), 6, 1000, 2, 50, 30, (1, 2), 15, (250, 500), (10, 100, 1000), 4, 1000, 2, 1)


def measure(broker: Broker, folder: Path, size: Size, console: Console) -> dict[str, Any]:
    """All of it, as `latest.json` has it."""
    servers, load, model = broker.bootstrap_servers, Load(broker.process.pid), Model.load()
    console.print("engine, stage by stage")
    costs, calibration = stages.measure(model, 120, 500, 8, size.repeats)
    streams = stages.by_streams(model, size.streams, 500, 4, size.runs)

    console.print(f"{size.calls} live calls of speech, then as many real calls of two sides")
    sound = write_speech(folder / "speech.wav", size.seconds)
    spoken = live.middle(live.run(servers, sound, size.calls) for _ in range(size.runs))
    called = live.middle(
        live.run(servers, SAMPLES / "call.flac", max(1, size.calls // 2), roles="customer,agent")
        for _ in range(size.runs)
    )
    # As many calls as make the same number of chunks a second, by which a worker chooses how long they are collected.
    by_chunk = {
        str(ms): live.told(
            live.run(servers, write_speech(folder / f"{ms}.wav", 10), 2 * size.calls * ms // 1000, chunk_ms=ms)
        )
        for ms in size.chunks_ms
    }
    console.print("latency")
    short = write_speech(folder / "latency.wav", size.latency_seconds)
    latency = {
        f"{share:g}": live.percentiles(
            live.run(servers, short, max(1, round(share * spoken.streams_per_core)), latency=True)
            for _ in range(size.runs)
        )
        for share in size.latency_loads
    }
    console.print("start, memory, backlog, workers side by side, producer")
    start = worker.start_seconds(servers, size.starts)
    memory = worker.bytes_per_stream(servers, size.open_streams, size.runs)
    waiting = write_speech(folder / "backlog.wav", size.backlog_seconds)
    caught_up = worker.backlog(servers, waiting, size.backlog_seconds, size.backlog_calls)
    shared = write_speech(folder / "shared.wav", size.workers_seconds)
    side_by_side = [
        worker.backlog(servers, shared, size.workers_seconds, size.backlog_calls, count) for count in size.workers
    ]
    sent = worker.producer_load(servers, write_speech(folder / "sent.wav", 15), 15, size.producer_calls)
    console.print("peers on the same audio")
    others = peers.measure(servers, sound, size.peer_seconds)

    per_transaction = spoken.chunks / spoken.transactions
    kafka = spoken.cpu_s / spoken.chunks * 1e6 - sum(cost["us"] for cost in costs.values())
    return {
        "streams_per_core": round(spoken.streams_per_core),
        "streams_per_core_call": round(called.streams_per_core),
        "latency_ms": latency["0.7"],
        "latency_light_ms": latency["0.1"],
        "bytes_per_stream": memory["bytes_per_stream"],
        "changelog_bytes_per_stream_s": round(spoken.state_bytes / spoken.audio_s),
        "start_s": start["median"],
        "catch_up": caught_up["times_real_time_of_a_core"],
        "scaling": {
            str(one["workers"]): round(one["us_per_chunk"] / side_by_side[0]["us_per_chunk"], 3) for one in side_by_side
        },
        "peers": others,
        "stages": {**costs, "kafka": {"us": round(kafka, 2), "floor_us": client.floor_us(servers, per_transaction)}},
        "curves": {"us_by_chunk_ms": by_chunk, "us_by_streams": streams, "latency_ms_by_load": latency},
        "details": {
            "calibration_us": round(calibration, 2),
            "size": asdict(size),
            "speech": live.told(spoken),
            "call": live.told(called),
            "start": start,
            "memory": memory,
            "backlog": caught_up,
            "workers": side_by_side,
            "producer": sent,
        },
        "machine": machine(load),
        "versions": versions(),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="less of everything: for a look, not to be quoted")
    parser.add_argument("--out", type=Path, help="another folder than benchmarks/results/ (short: out/bench/)")
    options = parser.parse_args()
    out = options.out or (Path("out/bench") if options.short else RESULTS)
    console = Console(highlight=False)
    with local_broker(say=print) as broker, tempfile.TemporaryDirectory() as folder:
        found = measure(broker, Path(folder), SHORT if options.short else FULL, console)
    out.mkdir(parents=True, exist_ok=True)
    (out / "latest.json").write_text(json.dumps(found, indent=1) + "\n")
    report.plot(found, out)
    console.print(report.goals(found))
    console.print(report.peers(found))
    console.print(stages.table(found["stages"]))
    console.print(f"written to {out}")


if __name__ == "__main__":
    main()

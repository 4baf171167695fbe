"""Where the engine's time goes: microseconds of processor time for each chunk, by stage, and what each cannot go below.

    python -m benchmarks.stages [--calls 120] [--chunk-ms 500] [--seconds 8] [--repeats 3]

Continuous speech as N concurrent calls, each begun at another place, all of them fed a chunk at a time; 120 calls are
what a worker with 400 of them has in one turn. Reading a record stands beside it, Kafka does not: `make bench` has it.
Medians over the repeats.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import wraps
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.calibration import calibration_us
from benchmarks.floors import floors
from benchmarks.stand import speech
from schemas.audio import AudioChunk, Encoding, RecordPlace
from tests.support.streams import cut
from undertone.acoustics.frontend import FrontEnd
from undertone.inference import blocks as blocks_module
from undertone.inference.blocks import Blocks
from undertone.inference.engine import Engine
from undertone.inference.events import EventWriter
from undertone.inference.intake import Intake
from undertone.inference.model import Model
from undertone.inference.runs import Buffers
from undertone.inference.runtime import Runtime
from worker.scratch import keep_scratch_memory
from worker.settings import WorkerSettings

# What a stage is, for people.
TOLD = {
    "decode": "a record to a chunk",
    "intake": "order, gaps, samples",
    "runs": "runs and blocks",
    "gate": "speech or silence",
    "log_mel": "log-mel frames",
    "network": "LiteRT",
    "pitch": "YIN",
    "events": "JSON of what is said",
    "state": "records of open streams",
    "rest": "the rest of the engine",
    "kafka": "poll, publish, commit, and what is around them",
}
# Owner, its function, and the stage that its time counts to. What is called within another stage counts to its own.
STAGES: list[tuple[Any, str, str]] = [
    (AudioChunk, "from_record", "decode"),
    *((Intake, name, "intake") for name in ("take_plain", "take")),
    *((Buffers, name, "runs") for name in ("__init__", "windows", "block_offsets")),
    (Buffers, "keep", "runs"),
    (blocks_module, "sum_squares", "gate"),
    (Blocks, "_gate", "gate"),
    (FrontEnd, "compute", "log_mel"),
    (Runtime, "run", "network"),
    (blocks_module, "track_pitch", "pitch"),
    (blocks_module, "pitch_sums", "pitch"),
    *((EventWriter, name, "events") for name in ("utterances", "updates", "segments", "summary")),
    (Blocks, "_remember", "events"),
    (Engine, "take_changes", "state"),
    (Engine, "feed", "rest"),
]


class Stopwatch:
    """Own time by stage, in seconds: that of a stage that is called within another counts to the inner one alone."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function, with its time counted."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                result = function(*args, **kwargs)
                # A generator works when it is asked, which would be in the stage around.
                return list(result) if isinstance(result, Iterator) else result
            finally:
                took = time.process_time() - began
                self.spent[stage] += took - self._inner.pop()
                self._inner[-1] += took

        return timed


def microseconds(model: Model, calls: int, samples: int, seconds: float) -> dict[str, float]:
    """One run: microseconds a chunk by stage."""
    voice, rate = speech(seconds)
    streams = [
        cut(np.roll(voice, -997 * n), rate, samples, call_id=f"call-{n}", encoding=Encoding.PCMU, end=False)
        for n in range(calls)
    ]
    place = RecordPlace(topic="call-audio", partition=0, offset=1)
    records = [
        [(one.stream.encode(), one.audio, one.headers(), place) for one in turn] for turn in zip(*streams, strict=True)
    ]
    engine, watch = Engine(model, max_streams=calls), Stopwatch()
    most = WorkerSettings.model_fields["batch_records"].default  # of which more never come of one poll
    with ExitStack() as stack:
        for owner, name, stage in STAGES:
            stack.enter_context(patch.object(owner, name, watch.around(getattr(owner, name), stage)))
        for turn in records:
            for start in range(0, len(turn), most):
                engine.feed([AudioChunk.from_record(*record) for record in turn[start : start + most]])
                engine.take_changes()
    chunks = sum(map(len, records))
    return {stage: 1e6 * spent / chunks for stage, spent in watch.spent.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=120, help="calls that are heard at once")
    parser.add_argument("--chunk-ms", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=8, help="of audio a call")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    costs, _ = measure(Model.load(), options.calls, options.chunk_ms, options.seconds, options.repeats)
    Console().print(table(costs))
    all_us = sum(cost["us"] for cost in costs.values())
    print(f"{options.chunk_ms * 1000 / all_us:,.0f} calls a core, without Kafka")


def whole(model: Model, calls: int, chunk_ms: int, seconds: float) -> float:
    """Microseconds a chunk of the engine and the reading of records, all stages together."""
    return sum(microseconds(model, calls, 8 * chunk_ms, seconds).values())


def by_streams(model: Model, streams: Sequence[int], chunk_ms: int, seconds: float, repeats: int) -> dict[str, float]:
    """The same for each of these numbers of streams: medians, measured in turn."""
    runs = [[whole(model, number, chunk_ms, seconds) for number in streams] for _ in range(repeats)]
    return {
        str(number): round(median(costs), 1) for number, costs in zip(streams, zip(*runs, strict=True), strict=True)
    }


def measure(
    model: Model, calls: int, chunk_ms: int, seconds: float, repeats: int
) -> tuple[dict[str, dict[str, float]], float]:
    """By stage: microseconds a chunk, and the floor. And the calibration's loop, measured in turn with them."""
    keep_scratch_memory()  # as a worker does
    runs, loops = [], []
    for _ in range(repeats):
        runs.append(microseconds(model, calls, 8 * chunk_ms, seconds))
        loops.append(calibration_us())
    least = floors(model, chunk_ms)
    costs = {
        stage: {"us": round(median(run[stage] for run in runs), 2), "floor_us": round(least.get(stage, 0.0), 2)}
        for stage in runs[0]
    }
    return costs, median(loops)


def table(costs: dict[str, dict[str, float]]) -> Table:
    """Stages, the dearest first."""
    all_us = sum(cost["us"] for cost in costs.values())
    made = Table("stage", "", "us a chunk", "floor", "share")
    for stage, cost in sorted(costs.items(), key=lambda item: -item[1]["us"]):
        share = f"{100 * cost['us'] / all_us:.0f}%"
        made.add_row(stage, TOLD.get(stage, ""), f"{cost['us']:.1f}", f"{cost['floor_us']:.1f}", share)
    made.add_row("all", "", f"{all_us:.0f}", f"{sum(cost['floor_us'] for cost in costs.values()):.0f}", "100%")
    return made


if __name__ == "__main__":
    main()

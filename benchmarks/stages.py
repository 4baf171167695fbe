"""Where the engine's time goes: microseconds of processor time for each chunk, by stage.

    python -m benchmarks.stages [--calls 120] [--chunk-ms 500] [--seconds 8] [--repeats 3]

The customer's side of the bundled call as N concurrent calls, each begun at another place, all of them fed a chunk at a
time; 120 calls are what a worker with 400 of them has in one turn. Reading a record stands beside it, Kafka does not:
`benchmarks.worker_throughput` has it. Medians over the repeats.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

from schemas.audio import AudioChunk, Encoding, RecordPlace
from tests.support.streams import customer, cut
from undertone.acoustics.frontend import FrontEnd
from undertone.inference import engine as engine_module
from undertone.inference.engine import Engine
from undertone.inference.events import EventWriter
from undertone.inference.model import Model
from undertone.inference.runs import Buffers
from undertone.inference.runtime import Runtime

# Owner, its function, and the stage that its time counts to. What is called within another stage counts to its own.
STAGES: list[tuple[Any, str, str]] = [
    (AudioChunk, "from_record", "decode: a record to a chunk"),
    (Engine, "_take", "intake: order, gaps, samples"),
    *((Buffers, name, "runs and blocks") for name in ("__init__", "windows", "block_offsets")),
    (Buffers, "keep", "runs and blocks"),
    (engine_module, "sum_squares", "gate"),
    (Engine, "_gate", "gate"),
    (FrontEnd, "compute", "log-mel"),
    (Runtime, "run", "network (LiteRT)"),
    (engine_module, "track_pitch", "pitch"),
    (engine_module, "pitch_sums", "pitch"),
    *((EventWriter, name, "events") for name in ("utterances", "updates", "segments", "summary")),
    (Engine, "_remember", "events"),
    (Engine, "take_changes", "state records"),
    (Engine, "feed", "the rest of the engine"),
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
    voice, rate = customer()
    voice = np.resize(voice, int(seconds * rate))
    shifted = [np.roll(voice, -997 * call) for call in range(calls)]
    streams = [
        cut(one, rate, samples, call_id=f"call-{n}", encoding=Encoding.PCMU, end=False) for n, one in enumerate(shifted)
    ]
    place = RecordPlace(topic="call-audio", partition=0, offset=1)
    records = [
        [(one.stream.encode(), one.audio, one.headers(), place) for one in turn] for turn in zip(*streams, strict=True)
    ]
    engine, watch = Engine(model, max_streams=calls), Stopwatch()
    with ExitStack() as stack:
        for owner, name, stage in STAGES:
            stack.enter_context(patch.object(owner, name, watch.around(getattr(owner, name), stage)))
        for turn in records:
            engine.feed([AudioChunk.from_record(*record) for record in turn])
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
    model = Model.load()
    runs = [microseconds(model, options.calls, 8 * options.chunk_ms, options.seconds) for _ in range(options.repeats)]
    costs = {stage: median(run[stage] for run in runs) for stage in runs[0]}
    whole = sum(costs.values())
    table = Table("stage", "us a chunk", "share")
    for stage, cost in sorted(costs.items(), key=lambda item: -item[1]):
        table.add_row(stage, f"{cost:.1f}", f"{100 * cost / whole:.0f}%")
    table.add_row("all", f"{whole:.0f}", "100%")
    Console().print(table)
    print(f"{options.chunk_ms * 1000 / whole:,.0f} calls a core, without Kafka")


if __name__ == "__main__":
    main()

"""Whether a stage of the engine has become clearly dearer than in the committed result: `make bench-check`.

    python -m benchmarks.check [--short] [--bound 1.6]

Each stage's processor time is divided by that of a loop which nothing of ours can change, measured beside it: so a slow
or busy machine counts on both sides. It is measured up to five times, and the best counts: what else the machine does
only adds, and a stage that has really become dearer is dear each time.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.calibration import calibration_us
from benchmarks.report import RESULT
from benchmarks.stages import microseconds
from undertone.inference.model import Model
from worker.scratch import keep_scratch_memory

# Below this many microseconds a chunk a stage is within what the clock and its own measuring cost.
_LEAST_US = 5.0
_CALLS, _CHUNK_SAMPLES = 120, 4000
TRIES = 5
BOUND, SHORT_BOUND = 1.6, 2.5


def ratios(stages: Mapping[str, float], calibration: float) -> dict[str, float]:
    """Stages in turns of the calibration's loop."""
    return {name: cost / calibration for name, cost in stages.items()}


def committed(found: dict[str, Any]) -> dict[str, float]:
    """The ratios of a result, of the stages that are large enough to be compared; without Kafka's."""
    costs = {name: cost["us"] for name, cost in found["stages"].items() if name != "kafka" and cost["us"] >= _LEAST_US}
    return ratios(costs, found["details"]["calibration_us"])


def measured(model: Model, seconds: float) -> dict[str, float]:
    """The ratios now."""
    costs = microseconds(model, _CALLS, _CHUNK_SAMPLES, seconds)
    return ratios(costs, calibration_us())


def dearer(now: Mapping[str, float], then: Mapping[str, float], bound: float) -> dict[str, float]:
    """The stages that take more than `bound` times what they took, and how many times."""
    return {name: now[name] / then[name] for name in then if now[name] > bound * then[name]}


def best(model: Model, then: Mapping[str, float], bound: float, seconds: float) -> dict[str, float]:
    """The best of several measurements; no more of them than are needed to pass."""
    keep_scratch_memory()  # as a worker does
    found: dict[str, float] = {}
    for _ in range(TRIES):
        once = measured(model, seconds)
        found = {name: min(cost, found.get(name, cost)) for name, cost in once.items()}
        if not dearer(found, then, bound):
            break
    return found


def main() -> None:
    """Print the ratios; ends with 1 where a stage has become dearer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="less audio, and a wider bound")
    parser.add_argument("--bound", type=float, help=f"default {BOUND}, with --short {SHORT_BOUND}")
    options = parser.parse_args()
    bound = options.bound or (SHORT_BOUND if options.short else BOUND)
    then = committed(json.loads(RESULT.read_text()))
    now = best(Model.load(), then, bound, seconds=2 if options.short else 8)
    table = Table("stage", "beside the committed result", "bound")
    for name, cost in then.items():
        table.add_row(name, f"{now[name] / cost:.2f}", f"{bound:g}")
    Console(highlight=False).print(table)
    slower = dearer(now, then, bound)
    if slower:
        told = ", ".join(f"{name} {times:.1f} times" for name, times in slower.items())
        sys.exit(f"bench-check: dearer than in {RESULT.name}: {told}")


if __name__ == "__main__":
    main()

"""python -m tests.chaos: a disturbed run on three brokers. `make chaos CHUNKS=5000 SEED=7` is a short one."""

import argparse
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import FAULTS, schedule
from tests.chaos.plan import Plan
from tests.chaos.report import json_line, table
from tests.chaos.run import run

_LONG = 50_000  # chunks from which on each kind has three rounds instead of one


def main() -> int:
    """Run, print, and tell by the exit status whether it has passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="the same seed: the same calls and the same schedule")
    parser.add_argument("--rounds", type=int, help="of each kind alone; 3, or 1 in a run of less than 50,000 chunks")
    parser.add_argument("--mixed", type=int, help="rounds of several kinds at once; as many as --rounds")
    parser.add_argument("--kinds", nargs="+", choices=sorted(FAULTS), default=list(FAULTS))
    parser.add_argument(
        "--logs",
        type=Path,
        help="a new folder for the logs of brokers, workers and producer; without it they are kept only by a run"
        " that has not passed",
    )
    options = parser.parse_args()
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    rounds = options.rounds or (3 if options.chunks >= _LONG else 1)
    mixed = rounds if options.mixed is None else options.mixed
    steps = schedule(options.seed, options.kinds, rounds, mixed)
    if options.logs:
        options.logs.mkdir(parents=True)
    directory = options.logs or Path(tempfile.mkdtemp(prefix="undertone-chaos-"))
    passed = False
    try:
        outcome = run(Plan(options.seed, options.calls, options.chunks), steps, directory, _say)
        passed = outcome.passed
    finally:
        if not passed:
            _say(f"logs are in {directory}")
        elif not options.logs:
            shutil.rmtree(directory)
    _say(table(outcome))
    _say(json_line(outcome))
    return 0 if outcome.passed else 1


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

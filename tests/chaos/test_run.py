"""The short form of `make chaos`: one fault of each place, at once and alone, on three real brokers."""

from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, schedule
from tests.chaos.plan import Plan
from tests.chaos.report import json_line, table
from tests.chaos.run import run


@pytest.mark.slow
@pytest.mark.timeout(900)  # it takes 50 s on an idle machine with two cores
def test_a_short_disturbed_run(tmp_path: Path) -> None:
    steps = [
        [FAULTS["worker_sigkill"], FAULTS["model_published"], FAULTS["gateway_sigkill"]],
        [FAULTS["transaction_coordinator_down"], FAULTS["producer_sigkill"], FAULTS["trainer_sigkill"]],
    ]
    outcome = run(Plan(seed=5, calls=16, chunks=1500), steps, tmp_path)
    assert outcome.passed, table(outcome)
    assert outcome.verdict.events > 50
    assert outcome.states > 10
    assert outcome.whole_calls > 0
    assert outcome.labels > 10
    assert '"passed": true' in json_line(outcome)


def test_a_seed_is_a_schedule() -> None:
    kinds = list(FAULTS)
    steps = schedule(7, kinds, 3, 3)
    assert steps == schedule(7, kinds, 3, 3)
    assert steps != schedule(8, kinds, 3, 3)
    alone = [step[0].kind for step in steps if len(step) == 1]
    assert sorted(alone) == sorted(3 * kinds)
    assert sum(len(step) == 6 for step in steps) == 3
    assert list(Plan(7, 5, 300).in_turn()) == list(Plan(7, 5, 300).in_turn())
    assert sum(1 for _ in Plan(7, 7, 300).in_turn()) == 300

"""`make bench-check`: a stage that has become dearer is found, and the machine's own ups and downs are not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import check
from benchmarks.report import RESULT
from tests.support.paths import ROOT
from undertone.inference.model import Model


@pytest.mark.slow
def test_no_stage_is_clearly_dearer_than_in_the_committed_result() -> None:
    """The short form, with room for another processor.

    It does not fail by chance: processor time is not the clock's, the loop beside it is slowed by the same neighbours,
    and the best of five measurements counts; only what is dear in each of them, three times over, fails.
    """
    then = check.committed(json.loads(RESULT.read_text()))
    assert len(then) >= 6
    assert check.dearer(check.best(Model.load(), then, 3.0, seconds=2), then, 3.0) == {}


def test_the_best_of_several_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([{"pitch": 9.0, "gate": 1.0}, {"pitch": 1.2, "gate": 5.0}, {"pitch": 9.0, "gate": 9.0}])
    monkeypatch.setattr(check, "measured", lambda model, seconds: next(measured))
    found = check.best(Model.load(), {"pitch": 1.0, "gate": 1.0}, 1.5, 2)
    assert found == {"pitch": 1.2, "gate": 1.0}
    assert next(measured)["pitch"] == 9.0  # none more than were needed


def test_a_stage_that_has_become_dearer_is_named(tmp_path: Path) -> None:
    result = json.loads(RESULT.read_text())
    result["stages"]["pitch"]["us"] /= 20
    result["stages"]["pitch"]["us"] = max(result["stages"]["pitch"]["us"], 5.0)
    result["details"]["calibration_us"] *= 2  # all else looks cheaper than it was
    changed = tmp_path / "latest.json"
    changed.write_text(json.dumps(result))
    code = f"""import sys; from pathlib import Path; from benchmarks import check
check.RESULT, check.TRIES = Path({str(changed)!r}), 1
sys.argv = ["check", "--short", "--bound", "4"]
check.main()"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    assert "bench-check: dearer than in latest.json:" in done.stderr
    assert "pitch" in done.stderr

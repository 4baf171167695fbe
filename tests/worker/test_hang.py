"""A loop that hangs ends its process, one that turns does not, however long the process itself was stopped."""

import signal
import subprocess
import sys
import time

from tests.support.paths import ROOT

# A loop is well for 0.2 s, so it is given up after 0.4.
_BEGIN = """
import time
from undertone.observability.telemetry import Health
from worker.hang import HangGuard
health = Health(limit_s=0.2)
guard = HangGuard(health, every_s=0.1)
"""
_HANGS = """
def waits_for_an_answer():
    time.sleep(60)
waits_for_an_answer()
"""
_TURNS = """
print("turns", flush=True)
end = time.monotonic() + 3
while time.monotonic() < end:
    health.beat()
    time.sleep(0.01)
"""
_ENDS = """
guard.close()
time.sleep(1.5)
"""


def start(*parts: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "".join((_BEGIN, *parts))]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_loop_that_hangs_ends_the_process_and_says_where_it_stood() -> None:
    process = start(_HANGS)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the loop has stood still for " in said
    assert "MainThread:" in said and "in waits_for_an_answer" in said


def test_a_loop_that_turns_goes_on_also_after_its_process_was_stopped() -> None:
    process = start(_TURNS)
    assert process.stdout is not None and process.stdout.readline() == "turns\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


def test_a_worker_that_has_ended_is_left_alone() -> None:
    process = start(_ENDS)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")

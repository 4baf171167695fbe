"""Freed memory is kept for the next block, unless somebody has chosen otherwise."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from worker import scratch

# Four arrays of 1.5 MB, written and freed again and again, as a block's scratch is.
FAULTS = """
import resource
import numpy as np
from worker.scratch import keep_scratch_memory
assert keep_scratch_memory()
def turn():
    arrays = [np.ones(200_000) for _ in range(4)]
    del arrays
for _ in range(5):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_block_is_not_given_its_memory_anew() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50 * 50  # of 80,000 that there are otherwise


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_an_operator_has_chosen_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert not scratch.keep_scratch_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch.ctypes, "CDLL", lambda _: object())
    assert not scratch.keep_scratch_memory()


# Every other one of many small arrays is freed again: half of the memory lies free, in holes.
HOLES = """
import resource
import numpy as np
from worker.scratch import give_back, keep_scratch_memory
def resident_bytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
assert keep_scratch_memory()
arrays = [np.ones(4_000) for _ in range(4_000)]
del arrays[::2]
before = resident_bytes()
give_back()
print(before - resident_bytes())
"""


def test_what_lies_free_between_what_is_held_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 40_000_000  # of 64 MB

"""On what a run was made: the machine, what else it was busy with, and the versions that count."""

import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.stand import cpu_seconds
from tests.support.paths import ROOT
from undertone.devbroker.runtime import KAFKA_VERSION

_PACKAGES = ("undertone", "numpy", "scipy", "ai-edge-litert", "kafka-python", "librosa", "keras", "tensorflow")
_OF_PEERS = ("quixstreams", "opensmile")


class Load:
    """How busy the processors were from its making on, with us and with others; 1 is one core."""

    def __init__(self, broker: int) -> None:
        """`broker` is the process of our Kafka."""
        self._broker = broker
        self._began, self._busy, self._ours = time.monotonic(), _busy_seconds(), self._our_seconds()
        self._at_start = os.getloadavg()[0]

    def told(self) -> dict[str, float]:
        """Means over the run."""
        took = time.monotonic() - self._began
        busy, ours = _busy_seconds() - self._busy, self._our_seconds() - self._ours
        return {
            "at_start": round(self._at_start, 2),
            "cores_busy": round(busy / took, 2),
            "cores_busy_with_others": round((busy - ours) / took, 2),
            "minutes": round(took / 60, 1),
        }

    def _our_seconds(self) -> float:
        times = os.times()
        ended = times.user + times.system + times.children_user + times.children_system
        return ended + cpu_seconds(self._broker)


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:8]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def machine(load: Load) -> dict[str, Any]:
    """The processor, the memory, and the load of the run."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": load.told(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def versions() -> dict[str, str]:
    """Python, Kafka, and the packages that the figures depend on."""
    theirs = subprocess.run(
        [str(ROOT / ".venv-peers/bin/python"), "-c", _ASK, *_OF_PEERS], capture_output=True, text=True, check=True
    )
    peers = dict(zip(_OF_PEERS, theirs.stdout.split(), strict=True))
    return {"python": platform.python_version(), "kafka": KAFKA_VERSION, **_installed(), **peers}


_ASK = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"


def _installed() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found

"""Processes of a disturbed run: workers and the producer, which die with this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.paths import ROOT
from undertone.devbroker.die_with_parent import tethered

_STOP_S = 120.0
WORKER = ("-c", "from undertone.cli.main import main; main()", "worker")


class Process:
    """A Python program that can be started again and again under one name; its output goes to one file.

    Start it from the main thread: it dies with the thread that starts it.
    """

    def __init__(self, program: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._command = tethered([sys.executable, *program])
        self._environment = dict(os.environ) | dict(environment) | {"PYTHONFAULTHANDLER": "1"}
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = 0

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def output(self) -> str:
        """What it has printed since its last start."""
        return self.log.read_bytes()[self._seen :].decode(errors="replace")

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def start(self) -> None:
        """Start it, which must not be running."""
        assert not self.running
        self._seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.abort()
            return self._process.wait()

    def abort(self) -> None:
        """SIGABRT: with the fault handler on, the log then says where each thread stands."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop it where it stands."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

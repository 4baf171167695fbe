"""The README's shell lines, one after the other as they are printed, on a real Kafka of their own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import wait_for
from tests.support.paths import ROOT
from tests.support.voices import write_corpus
from undertone.devbroker.broker import free_port

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

# A run of these takes minutes, and `make test` would run this test: what they do is tested elsewhere, here that they
# are known to make.
MAKE = re.compile(r"make [a-z-]+")
# Hours, for a comparison: what is still at work after this long has found all that it needs.
LONG = re.compile(r"undertone (compare|train)\b")
LONG_S = 30
PATIENCE_S = 300

# Records what it is asked for, as a microphone would be: two seconds of a tone that does not sound like speech.
SOX = f"""#!{sys.executable}
import array, math, sys
assert sys.argv[1:] == "-d -t raw -r 16000 -e signed -b 16 -c 1 -".split(), sys.argv
sys.stdout.buffer.write(array.array("h", [int(9000 * math.sin(n / 9)) for n in range(32000)]).tobytes())
"""


def lines() -> list[str]:
    """The lines of the README's shell blocks, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.M | re.S)
    printed = [re.sub(r"(^|\s)#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in printed if line]


class Reader:
    """Somebody who types the lines into a shell: each starts where and as the ones before it have left things."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone
        self._before: list[str] = []
        self._running: list[subprocess.Popen[bytes]] = []
        port = free_port(0)
        self._environment = os.environ | {
            "PATH": f"{clone / 'tools'}:/usr/local/bin:/usr/bin:/bin",
            "UNDERTONE_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
            "UNDERTONE_METRICS_PORT": "0",
            "UNDERTONE_CONNECT_TIMEOUT_S": "120",  # the broker has just been started, and the machine may be busy
            "UNDERTONE_CACHE_DIR": str(clone / "cache"),
        }
        self._port = port

    def type(self, line: str) -> None:
        """Run a line to its end; in the background where it says so."""
        if line.startswith("source "):
            self._before.append(line)
        elif line.endswith("&"):
            self._start(line.removesuffix("&"))
        elif MAKE.fullmatch(line):
            self._finish(line, f"{line} --dry-run", PATIENCE_S)
        else:
            self._finish(line, line, LONG_S if LONG.match(line) else PATIENCE_S)

    def said(self, command: str) -> str:
        """What a background command has printed."""
        return (self._clone / f"{command}.log").read_text()

    def leave(self) -> None:
        """End what is running, the last first."""
        for process in reversed(self._running):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)

    def _start(self, line: str) -> None:
        command = line.split()[1]
        if command == "broker":
            line += f" --port {self._port}"  # the default may be in use on this machine
        self._running.append(self._shell(line, self._clone / f"{command}.log"))

    def _finish(self, line: str, command: str, seconds: float) -> None:
        log = self._clone / "foreground.log"
        shell = self._shell(command, log)
        try:
            status = shell.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
            assert seconds == LONG_S, f"{line}: not finished\n{log.read_text()}"
            status = 0
        assert status == 0, f"{line}\n{log.read_text()}"
        assert "Traceback" not in log.read_text(), f"{line}\n{log.read_text()}"

    def _shell(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        script = "\n".join(["set -o pipefail", *self._before, command])
        with log.open("wb") as output:
            return subprocess.Popen(
                ["bash", "-e", "-c", script],
                cwd=self._clone,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that is set up, with labelled speech in `my-recordings/` and a microphone."""
    for path in ROOT.iterdir():
        if path.name not in {".git", ".kafka", ".venv", "out"}:
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    calls = write_corpus(tmp_path / "my-recordings", ["frustrated", "satisfied", "puzzled"], range(1, 6), takes=2)
    rows = calls.read_text()
    for mood, emotion in (("frustrated", "angry"), ("satisfied", "happy"), ("puzzled", "neutral")):
        rows = rows.replace(f",{mood},", f",{emotion},")
    calls.with_name("manifest.csv").write_text(rows)
    sox = tmp_path / "tools" / "sox"
    sox.parent.mkdir()
    sox.write_text(SOX)
    sox.chmod(0o755)
    return tmp_path


@pytest.fixture
def reader(clone: Path) -> Iterator[Reader]:
    it = Reader(clone)
    yield it
    it.leave()


@pytest.mark.timeout(1800)
def test_every_line_works_after_the_lines_before_it(reader: Reader, clone: Path) -> None:
    printed = lines()
    assert len(printed) > 15
    for line in printed:
        reader.type(line)
        if line.startswith("undertone produce"):
            wait_for(lambda: "summary" in reader.said("tail"), "the call's summary", said=lambda: reader.said("worker"))
    assert re.search(r"call/customer +segment ", reader.said("tail"))
    assert (clone / "call.html").stat().st_size > 100_000
    assert (clone / ".kafka" / "data").is_dir()

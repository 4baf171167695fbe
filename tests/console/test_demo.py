"""`undertone demo`: it ends by itself, says what it heard, and leaves no process behind, however it ends."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings

UNDERTONE = [str(Path(sys.executable).with_name("undertone"))]
MARK = "DEMO_TEST_MARK"

pytestmark = pytest.mark.slow


@contextmanager
def running_demo(
    folder: Path, stdout: int = subprocess.PIPE, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo without a terminal, and the mark that all of its processes carry in their environment."""
    mark = uuid.uuid4().hex
    clean = {name: value for name, value in os.environ.items() if not name.endswith("BOOTSTRAP_SERVERS")}
    process = subprocess.Popen(
        [*UNDERTONE, "demo"],
        env=clean | {MARK: mark, "TMPDIR": str(folder)} | environment,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, mark
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def marked(mark: str) -> dict[int, str]:
    """Processes that carry `mark`: pid and command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it ended while we looked, or is none of ours
    return {pid: command for pid, command in found.items() if command}  # a zombie has no command line


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What the demo prints, up to the line that matches."""
    text = ""
    for line in process.stdout or ():
        text += line
        if re.search(pattern, line):
            return text
    raise AssertionError(f"the demo never said {pattern!r}:\n{text}")


def none_left(mark: str) -> bool:
    """Whether all marked processes are gone within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and marked(mark):
        time.sleep(0.1)
    return not marked(mark)


def test_it_runs_to_its_end_and_leaves_nothing_running(tmp_path: Path) -> None:
    with running_demo(tmp_path) as (process, mark):
        text, _ = process.communicate(timeout=240)
        assert process.returncode == 0, text
        assert none_left(mark)
    assert "\x1b" not in text, "plain lines without a terminal"
    rows = re.findall(r"^ *(\d\d:\d\d\.\d) +(\d\d:\d\d\.\d)  (\S+) +(update|segment|summary) ", text, re.MULTILINE)
    assert {stream for *_, stream, kind in rows if kind == "summary"} == {
        "call/customer",
        "calm/customer",
        "phone/customer",
        "angry/customer",
    }
    assert {kind for *_, kind in rows} == {"update", "segment", "summary"}
    assert re.search(r"^ call/agent +25\.5 s +not analysed", text, re.MULTILINE)
    assert re.search(r"5 streams, 6\d s of audio, \d+ updates, \d+ segments, 4 summaries", text)
    assert re.search(r"to its update here: \d+ ms median, \d+ ms p95", text)
    for worker in ("demo-1", "demo-2"):
        assert re.search(
            rf"^{worker} is ready after .* metrics at http://127\.0\.0\.1:\d+/metrics$", text, re.MULTILINE
        )
    (logs,) = tmp_path.glob("undertone-demo-*")
    assert f"logs and last metrics are in {logs}" in text
    kept = {path.name for path in logs.iterdir()}
    assert re.search(r"^the same in a browser, while it lasts: http://127\.0\.0\.1:\d+$", text, re.MULTILINE)
    assert {"demo-1.log", "demo-2.log", "demo-1.metrics.txt", "demo-2.metrics.txt"} <= kept
    heard = sum(
        float(number)
        for name in ("demo-1", "demo-2")
        for number in re.findall(
            r"^undertone_events_total\{.*\} (\S+)$", (logs / f"{name}.metrics.txt").read_text(), re.MULTILINE
        )
    )
    assert heard == len(rows)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_on_a_kafka_of_the_users_it_takes_its_topics_with_it(
    kafka_settings: KafkaSettings, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    servers: dict[str, Any] = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": kafka_settings.topic_prefix,
    }
    with running_demo(tmp_path, **servers) as (process, mark):
        read_until(process, r" update ")
        process.send_signal(number)
        text, _ = process.communicate(timeout=60)
        assert process.returncode == code
        assert none_left(mark)
    assert "Traceback" not in text
    with admin(kafka_settings) as client:
        assert not [name for name in client.list_topics() if name.startswith(kafka_settings.topic_prefix)]


def test_on_a_terminal_it_draws_a_timeline_per_stream(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (40, 120))
    servers = {"KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers, "TERM": "xterm-256color"}
    screen = ""
    with running_demo(tmp_path, stdout=end, **servers) as (process, mark):
        os.close(end)
        while not re.search(r"call/customer.*[▁▂▃▄▅▆▇█]{3}", screen):
            drawn = os.read(terminal, 65_536).decode(errors="replace")  # OSError when the demo has ended
            screen = (screen + re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn))[-200_000:]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert none_left(mark)
    os.close(terminal)
    assert "timeline, 0.5 s a mark" in screen
    assert re.search(r"call/agent.*─{3}.*not analysed", screen)


def test_killed_with_9_it_leaves_no_process_either(tmp_path: Path) -> None:
    with running_demo(tmp_path) as (process, mark):
        read_until(process, r" update ")
        commands = " ".join(marked(mark).values())
        assert "kafka.Kafka" in commands
        assert commands.count("--instance-id demo-") == 2
        process.kill()
        assert none_left(mark)


def test_a_worker_that_dies_is_named_with_its_log(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    with running_demo(tmp_path, KAFKA_BOOTSTRAP_SERVERS=kafka_settings.bootstrap_servers) as (process, mark):
        read_until(process, "demo-2 is ready")
        (worker,) = (pid for pid, command in marked(mark).items() if "--instance-id demo-2" in command)
        os.kill(worker, signal.SIGKILL)
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert none_left(mark)
    (log,) = tmp_path.glob("undertone-demo-*/demo-2.log")
    assert re.search(rf"^undertone demo: demo-2 has ended: .*\(log: {log}\)$", text, re.MULTILINE)

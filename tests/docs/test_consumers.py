"""The consumers that the documentation shows, on a real Kafka: each sees what is committed, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.sinks.carrying import Carrying, call_events
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "how-to" / "consume-events.md").read_text(encoding="utf-8")
EVENT = json.loads(call_events("call", ["angry"])[1].model_dump_json())


def block(language: str) -> str:
    """The first block of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.M | re.S)[0]


def runs(interpreter: str, program: Path, code: str, installation: Installation) -> None:
    """Run the page's program beside a topic of two calls, one of which was aborted at first."""
    carrying = Carrying(installation)
    with carrying.load(calls=2, seconds=0.1):
        pass
    segments = [event for event in carrying.sent.values() if event.data.type == "segment"]
    assert segments
    program.write_text(code.replace('"emotion-events"', f'"{carrying.topic}"').replace("my-service", carrying.topic))
    environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": installation.settings.bootstrap_servers}
    consumer = WorkerProcess([interpreter, str(program)], environment, program.with_suffix(".txt"))
    try:
        wait_for(lambda: all(event.id in consumer.output for event in segments), "all", said=lambda: consumer.output)
    finally:
        consumer.kill()
    lines = [line for line in consumer.output.splitlines() if re.match(r"[0-9a-f]{32} ", line)]
    assert sorted(lines) == sorted(f"{event.id} {event.subject} {event.data.label}" for event in segments)


def test_the_one_in_python(installation: Installation, tmp_path: Path) -> None:
    runs(sys.executable, tmp_path / "consumer.py", block("python"), installation)


@pytest.mark.slow
def test_the_one_in_javascript(installation: Installation, tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    (line,) = re.findall(r"`(npm install [^`]*)`", PAGE)
    command = [*line.split(), "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install what it needs: {done.stderr[-300:]}")
    runs("node", tmp_path / "consumer.js", block("js"), installation)


def test_clickhouse_asks_for_what_events_have() -> None:
    ddl = block("sql")
    paths = re.findall(r"JSONExtract\w*\(event, ((?:'\w+'(?:, )?)+)", ddl)
    assert len(paths) == 15
    for path in paths:
        value = EVENT
        for name in re.findall(r"'(\w+)'", path):
            assert name in value
            value = value[name]
    # What the table has, the view fills.
    table = re.findall(
        r"^    (\w+) \w", ddl.split("CREATE TABLE emotion_events\n")[1].split(")\nENGINE")[0], flags=re.M
    )
    assert table == re.findall(r" AS (\w+),?$", ddl.split("MATERIALIZED VIEW")[1], flags=re.M)


def test_the_connector_reads_committed_json(topics: Topics) -> None:
    config = json.loads(block("json"))["config"]
    assert config["consumer.override.isolation.level"] == "read_committed"
    assert config["value.converter.schemas.enable"] == "false"
    assert topics.emotion_events.name.endswith(config["topics"])

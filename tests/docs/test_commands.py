"""The commands that the documentation shows: their options exist, and those of the first tutorial run as printed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.support.paths import ROOT
from undertone.devbroker.broker import free_port
from undertone.messaging.settings import KafkaSettings

# Commands that have commands of their own.
GROUPS = ("models", "sink", "trainer", "labels")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
OPTIONS = {
    name: set(re.findall(r"^\| `(--[a-z-]+)`", section, flags=re.M)) | {"--help"}
    for name, section in re.findall(r"^## undertone (.+?)\n(.*?)(?=^## |\Z)", REFERENCE, flags=re.M | re.S)
}


def shell_blocks(page: Path) -> list[str]:
    """The fenced blocks of a page that are shell, lines that a backslash or a pipe continues joined."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [re.sub(r"(\\|(?<=\|))\n\s*", " ", block) for block in blocks]


def commands(page: Path) -> Iterator[tuple[str, set[str]]]:
    """(subcommand, options) of each `undertone ...` on a page, in blocks and in the text."""
    text = "\n".join(shell_blocks(page)) + "\n" + "\n".join(re.findall(r"`(undertone [^`\n]+)`", page.read_text()))
    for line in re.findall(r"\bundertone ([a-z][^|&;>#\n]*)", text):
        words = line.split()
        # Some groups are commands as well: `undertone trainer --out`.
        below = words[0] in GROUPS and words[1:] and not words[1].startswith("-")
        name = " ".join(words[:2]) if below else words[0]
        yield name, {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_shown_commands_and_options_exist(page: Path) -> None:
    for name, options in commands(page):
        if name in (*GROUPS, "COMMAND"):
            continue
        assert name in OPTIONS, f"undertone {name}"
        assert options <= OPTIONS[name], f"undertone {name}"


@pytest.mark.slow
def test_the_first_tutorial_runs_as_printed(kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path) -> None:
    """Its lines in one shell, five times as fast as they speak, on the Kafka that the tests have."""
    page, port = ROOT / "docs" / "tutorials" / "first-call.md", str(free_port(0))
    lines = "".join(block for block in shell_blocks(page) if "make install" not in block)
    assert "undertone broker &" in lines
    lines = lines.replace("undertone broker &", "sleep 600 &").replace("sleep 12", "sleep 3").replace("9464", port)
    lines = re.sub(r"(undertone produce [^&\n]+?)( &)?\n", r"\1 --speed 5\2\n", lines)
    # A machine under load takes longer than a reader's: each call's events are waited for before they are shown.
    waited = r"until undertone tail --until-end --call-id \1 | grep -q summary; do sleep 1; done; \g<0>"
    lines = re.sub(r"undertone tail --until-end --call-id (\w+)", waited, lines)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "UNDERTONE_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": kafka_settings.topic_prefix,
        "UNDERTONE_METRICS_PORT": port,
    }
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    with (tmp_path / "said.txt").open("w") as output:
        shell = subprocess.Popen(
            ["bash", "-ex", "-c", lines],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                shell.wait(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it has left running, if it has not ended by itself
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    said = (tmp_path / "said.txt").read_text(encoding="utf-8")
    assert shell.returncode == 0, said
    assert (tmp_path / "call.html").stat().st_size > 100_000
    for call in ("first", "second"):
        events = re.findall(rf" {call}/customer +(update|segment|summary) ", said)
        assert (events.count("segment"), events.count("summary")) == (4, 1), said
    assert "undertone_events_total" in said

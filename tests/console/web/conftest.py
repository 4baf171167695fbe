"""Consoles of a test's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from schemas.topics import Topics
from tests.support.console import ConsoleProcess


class StartConsole(Protocol):
    """Starts one more console."""

    def __call__(self, *options: str, **variables: object) -> ConsoleProcess:
        """With these options; `variables` become UNDERTONE_CONSOLE_<NAME>."""


@pytest.fixture
def start_console(kafka_environment: Mapping[str, str], topics: Topics, tmp_path: Path) -> Iterator[StartConsole]:
    """Consoles on the topics of the test, killed at its end."""
    running: list[ConsoleProcess] = []

    def start(*options: str, **variables: object) -> ConsoleProcess:
        log = tmp_path / f"console-{len(running)}.log"
        running.append(ConsoleProcess(kafka_environment, log, *options, **variables))
        return running[-1]

    yield start
    for console in running:
        console.process.kill()
        console.process.wait()

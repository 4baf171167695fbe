"""`docs/reference/command-line.md`: fresh, and with every option that `--help` shows."""

import re

import pytest
from typer.testing import CliRunner

from tests.support.paths import ROOT
from undertone.cli.main import app
from undertone.cli.reference import command_line_page

PAGE = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## undertone (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S))


def test_the_page_is_that_of_the_code() -> None:
    assert command_line_page() == PAGE, "stale: run `make docs`"


@pytest.mark.parametrize("command", SECTIONS)
def test_the_page_has_the_options_of_the_help(command: str) -> None:
    # Wide enough that no option is broken into two lines.
    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"TERMINAL_WIDTH": "300", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    in_help = set(re.findall(r"^\W+(--[a-z-]+)", shown.output, flags=re.M)) - {"--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", SECTIONS[command], flags=re.M)) == in_help


def test_every_command_has_a_section() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"TERMINAL_WIDTH": "300", "NO_COLOR": "1"})
    commands = set(re.findall(r"^│ ([a-z]+) ", shown.output, flags=re.M))
    assert {name.split()[0] for name in SECTIONS} == commands

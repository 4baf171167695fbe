"""The root of the command line."""

from importlib.metadata import version

from typer.testing import CliRunner

from undertone.cli.main import app


def test_the_version_is_that_of_the_package() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output) == (0, f"undertone {version('undertone')}\n")

"""The root of the command line: finds the subcommand, turns errors that are for people into one line."""

import importlib
import importlib.metadata
import importlib.util
import signal
import sys
from typing import Annotated

import typer

from schemas.errors import UserError

NAMES = (
    "demo",
    "broker",
    "topics",
    "produce",
    "gateway",
    "worker",
    "sink",
    "console",
    "tail",
    "forget",
    "analyze",
    "evaluate",
    "train",
    "trainer",
    "label",
    "labels",
    "audio",
    "compare",
    "models",
)

app = typer.Typer(
    name="undertone",
    help="Listens to live calls on Kafka and says how they feel, continuously.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"undertone {importlib.metadata.version('undertone')}")
        raise typer.Exit


@app.callback(help=app.info.help)
def check_environment(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    # Every subcommand refuses a misspelt UNDERTONE_ variable: the default it leaves is not what somebody meant.
    from trainer.collection.settings import TrainerSettings
    from undertone.cli.log import LogSettings
    from undertone.console.web.settings import ConsoleSettings
    from undertone.gateway.settings import GatewaySettings
    from undertone.messaging.settings import KafkaSettings, reject_unknown_variables
    from undertone.registry.signing import SigningSettings
    from undertone.sinks.settings import SinkSettings
    from worker.settings import WorkerSettings

    reject_unknown_variables(
        KafkaSettings,
        WorkerSettings,
        GatewaySettings,
        SinkSettings,
        TrainerSettings,
        SigningSettings,
        ConsoleSettings,
        LogSettings,
    )


for name in NAMES:
    if importlib.util.find_spec(f"undertone.cli.{name}"):
        app.add_typer(importlib.import_module(f"undertone.cli.{name}").app)


def main() -> None:
    """Entry point of `undertone`. Exits with 2 after a person's mistake, 130 after Ctrl-C."""
    # A shell starts a script's background jobs with SIGINT ignored: `kill -INT` is to stop them all the same.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except UserError as error:
        typer.secho(f"undertone: {error}", err=True, fg=typer.colors.RED)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)

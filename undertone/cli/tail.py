"""`undertone tail`: watch the events."""

from enum import StrEnum
from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


class Start(StrEnum):
    """Where to begin."""

    START = "start"
    NOW = "now"


class Format(StrEnum):
    """What to print."""

    TABLE = "table"
    JSONL = "jsonl"


@app.command()
def tail(
    start: Annotated[
        Start, typer.Option("--from", help="Begin with the oldest event that Kafka keeps, or with the next that comes.")
    ] = Start.START,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Stop at the end that the topic has now, instead of waiting for more.")
    ] = False,
    call_id: Annotated[str | None, typer.Option(help="Only this call.", show_default=False)] = None,
    form: Annotated[
        Format, typer.Option("--format", help="A row per event, or a JSON line per event: its data.")
    ] = Format.TABLE,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Print emotion events as they come: updates, segments, summaries.

    An update comes twice a second while somebody speaks, a segment when an
    utterance ends, a summary when the stream ends. It reads committed events
    only and belongs to no group, so it takes nothing from anybody.

    Examples:

        undertone tail --from now

        undertone tail --until-end --format jsonl > events.jsonl

        undertone tail --format jsonl | jq 'select(.label == "angry")'
    """
    from undertone.console.tail import tail as run
    from undertone.messaging.settings import KafkaSettings

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    run(
        settings,
        from_start=start is Start.START,
        until_end=until_end,
        call_id=call_id,
        as_json=form is Format.JSONL,
    )

"""`undertone forget`: erase a call."""

from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def forget(
    call_id: Annotated[str, typer.Option(help="The call to forget.", show_default=False)],
    end: Annotated[
        bool, typer.Option("--end", help="End the call's open streams first, instead of refusing; a worker must run.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Erase a call that has ended: its state at once, its labels in all later trainings, the rest by retention.

    Prints each topic and until when it may still hold the call. What was trained from it, and copies that your own
    services have made, are yours to find: docs/how-to/forget.md.
    """
    from rich.console import Console
    from rich.table import Table

    from undertone.erasure.forget import forget as run
    from undertone.messaging.settings import KafkaSettings

    erased, kept = run(KafkaSettings.load(bootstrap_servers=bootstrap_servers), call_id, end=end)
    console = Console()
    console.print(f"state erased: {', '.join(erased) or 'there was none'}", markup=False, highlight=False)
    console.print("labels: trainings from now on leave them out, collectors delete them", highlight=False)
    table = Table("topic", "may hold it until", "by")
    for topic in kept:
        until = f"{topic.until:%Y-%m-%d %H:%M} UTC" if topic.until else "for good"
        table.add_row(topic.topic, until, topic.why, style=None if topic.until else "yellow")
    console.print(table)

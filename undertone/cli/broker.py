"""`undertone broker`: a local Apache Kafka in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def broker(
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port on 127.0.0.1. Default: 9092, or a free one where that is taken.",
            show_default=False,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the data stay, for the next start too. Default: a temporary directory, deleted at the end.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a local Apache Kafka in the foreground, for development.

    Prints "ready 127.0.0.1:PORT" when it answers. Ctrl-C or SIGTERM stops it. It needs Java 17 and Maven (Kafka's
    jars are fetched once), or Docker.
    """
    import signal

    from undertone.devbroker.broker import DEFAULT_PORT, is_free, local_broker

    # Both ways to stop it do the same, also where a shell script has started us with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    if port is None and is_free(DEFAULT_PORT):
        port = DEFAULT_PORT
    try:
        with local_broker(port, data_dir, say=lambda line: typer.echo(line, err=True)) as kafka:
            typer.echo(f"ready {kafka.bootstrap_servers}")
            kafka.wait()
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)

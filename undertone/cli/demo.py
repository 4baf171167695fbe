"""`undertone demo`: the whole path on one screen."""

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def demo(bootstrap_servers: BootstrapServers = None) -> None:
    """Show all of it live: Kafka, two workers, calls, and how they feel.

    It takes about a minute and stops everything that it started; Ctrl-C ends
    it at once. Without a Kafka in --bootstrap-servers,
    UNDERTONE_BOOTSTRAP_SERVERS or KAFKA_BOOTSTRAP_SERVERS it runs one on a
    free port of 127.0.0.1. On yours it uses topics of its own, and deletes
    them at the end.
    """
    from rich.console import Console

    from undertone.console.demo import demo as run
    from undertone.messaging.settings import KafkaSettings

    raise typer.Exit(run(KafkaSettings.load(bootstrap_servers=bootstrap_servers), Console()))

"""`undertone demo`: the whole path on one screen."""

import typer

from cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def demo(bootstrap_servers: BootstrapServers = None) -> None:
    """Show all of it: Kafka, two workers, a replayed call and three callers, and what is heard of them, live.

    It takes about a minute and stops everything that it started. Without a Kafka in --bootstrap-servers,
    UNDERTONE_BOOTSTRAP_SERVERS or KAFKA_BOOTSTRAP_SERVERS it runs one on a free port of 127.0.0.1; on yours it uses
    topics of its own, which it deletes. Ctrl-C ends it at once.
    """
    from rich.console import Console

    from console.demo import demo as run
    from messaging.settings import KafkaSettings

    raise typer.Exit(run(KafkaSettings.load(bootstrap_servers=bootstrap_servers), Console()))

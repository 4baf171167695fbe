"""`undertone topics`: create what is missing, say what differs."""

from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def topics(
    partitions: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="Partitions of the stream topics. Default for new topics: 8.", show_default=False
        ),
    ] = None,
    replication_factor: Annotated[
        int, typer.Option(min=1, max=100, help="Copies of each new topic: 3 is usual on a cluster.")
    ] = 1,
    raise_: Annotated[
        bool,
        typer.Option(
            "--raise",
            help="Raise call-audio and worker-state to --partitions, both or neither; without a number to the larger.",
        ),
    ] = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Create the topics that are missing and say which differ from what Undertone expects.

    Existing topics are changed by --raise only. Without it this is safe to run at every deployment.
    """
    from rich.console import Console
    from rich.table import Table

    from schemas.topics import Topics
    from undertone.messaging.clients import admin
    from undertone.messaging.settings import KafkaSettings
    from undertone.messaging.topics import check_copartitioned, ensure_topics, raise_partitions

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    names = Topics(settings.topic_prefix)
    table = Table("topic", "partitions", "copies", "policy", "state")
    with admin(settings) as client:
        if raise_:
            partitions = raise_partitions(client, names, partitions)
        for state in ensure_topics(client, names, partitions, replication_factor):
            differences = "\n".join(f"differs: {line}" for line in state.differences)
            table.add_row(
                state.topic.name,
                str(state.partitions),
                str(state.replication_factor),
                state.topic.cleanup_policy,
                differences or ("created" if state.created else "as expected"),
                style="yellow" if differences else None,
            )
        Console().print(table)
        check_copartitioned(client, names)

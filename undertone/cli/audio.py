"""`undertone audio`: what an event was heard in."""

from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def audio(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The id of an utterance's event.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", help="The WAV file to write.", dir_okay=False, show_default=False)
    ],
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Write the sound of an utterance to a file, as long as Kafka holds it."""
    from trainer.labelling.heard import write_audio
    from undertone.messaging.settings import KafkaSettings

    heard = write_audio(KafkaSettings.load(bootstrap_servers=bootstrap_servers), event, output)
    start, end = heard.seconds
    typer.echo(f"{output}: {heard.stream}, {start:.1f} to {end:.1f} s, {heard.said.label}")

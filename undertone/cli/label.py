"""`undertone label`: a person says what it was."""

from typing import Annotated

import typer

from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def label(
    target: Annotated[
        str,
        typer.Argument(metavar="CALL|EVENT", help="A call, or the id of an utterance's event.", show_default=False),
    ],
    emotion: Annotated[
        str,
        typer.Argument(
            metavar="EMOTION", help="What it was: any word, also one that no model knows.", show_default=False
        ),
    ],
    channel: Annotated[
        str | None, typer.Option("--channel", help="Of a call only this channel, as customer.", show_default=False)
    ] = None,
    at: Annotated[
        float | None,
        typer.Option("--at", min=0, help="Of a call only the utterance at this second.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Who is to be named as the one who said it. Default: user@host.", show_default=False),
    ] = None,
    comment: Annotated[str, typer.Option("--comment", help="What else there is to say.", show_default=False)] = "",
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Say what an utterance, or every utterance of a call, really was, for the next model.

    Of each person the newest label of an utterance counts.

    Examples:

        undertone label call-7 frustrated --at 16.8 --by ann
    """
    from trainer.labelling.sending import meant, send, told
    from undertone.messaging.settings import KafkaSettings
    from undertone.registry.changes import whoever

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    found = meant(settings, target, channel, at)
    send(settings, [(one.label(emotion, by or whoever(), comment), None) for one in found])
    typer.echo(told(found, emotion))

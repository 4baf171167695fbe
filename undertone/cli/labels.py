"""`undertone labels`: what people have said."""

from typing import Annotated

import typer

from undertone.cli.extras import require
from undertone.cli.options import BootstrapServers

app = typer.Typer()
labels = typer.Typer(no_args_is_help=True)
app.add_typer(labels, name="labels", help="What people have said that calls sound like.")


@labels.command()
def forget(
    call_id: Annotated[str, typer.Option(help="The call whose labels and audio go.", show_default=False)],
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="The dataset to delete them from at once. Else UNDERTONE_TRAINER_DATASET, or none: collectors do it.",
            show_default=False,
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Delete a call's labels and audio from the dataset, its snapshots and caches, and call them back from trainers.

    Names the models that were trained with the call: from those it cannot be taken.
    """
    require("trainer", "`undertone labels` needs fsspec", "fsspec")
    from trainer.collection.erasure import forget_labels
    from trainer.collection.settings import TrainerSettings
    from undertone.messaging.settings import KafkaSettings

    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    place = TrainerSettings.load(trainer_dataset=dataset).trainer_dataset
    erased = forget_labels(kafka, call_id, place)
    typer.echo("labels on Kafka: called back; trainings and collectors leave them out from now on")
    if erased is None:
        typer.echo("datasets: a collector deletes them when it reads this; none was given to look at now")
        return
    typer.echo(f"labels deleted from the dataset, with their audio: {erased.labels}")
    typer.echo(f"snapshots that had them: {erased.snapshots}; cached features deleted: {erased.features}")
    for model in erased.models:
        typer.echo(f"cannot be taken from model {model}, which was trained with it: train again without it")
    if not erased.models:
        typer.echo("models: none is known to be trained with it")

"""`undertone trainer collect` and `snapshot`: labels and their audio, kept, and versions of them to train on."""

from typing import Annotated

import typer

from undertone.cli.extras import require
from undertone.cli.options import BootstrapServers, metrics_port_option
from undertone.signals import stop_on_signals

Place = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Where labels and audio are kept: a folder, s3://bucket/labels, or another of fsspec's stores. "
        "Else UNDERTONE_TRAINER_DATASET.",
        show_default=False,
    ),
]
MetricsPort = Annotated[int | None, metrics_port_option(9467)]


def collect(
    dataset: Place = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Return when all labels are kept that are there now.")
    ] = False,
    metrics_port: MetricsPort = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Keep each label and its audio before Kafka forgets it, until SIGTERM or Ctrl-C.

    A label counts once, whatever is killed when. Those that cannot be used go to dead-letters, with the reason.
    """
    require("trainer", "`undertone trainer` needs fsspec", "fsspec")
    from trainer.collection.dataset import Dataset
    from trainer.collection.metrics import CollectorMetrics
    from trainer.collection.service import CollectorService
    from trainer.collection.settings import TrainerSettings
    from undertone.cli.log import start_log
    from undertone.messaging.settings import KafkaSettings
    from undertone.observability.telemetry import Telemetry

    start_log()
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = TrainerSettings.load(trainer_dataset=dataset, trainer_metrics_port=metrics_port)
    place = _place(settings.trainer_dataset)
    service = CollectorService(kafka, settings, Dataset.open(place), CollectorMetrics())
    stop_on_signals(service.stop)
    host, port = settings.trainer_metrics_host, settings.trainer_metrics_port
    with Telemetry(host, port, service.metrics.registry, service.health) as telemetry:
        where = f"http://{telemetry.host}:{telemetry.port}/metrics"
        done = service.run(lambda: typer.echo(f"ready: collecting labels, metrics {where}"), until_end=until_end)
    typer.echo("all labels are kept" if done else "stopped")


def snapshot(dataset: Place = None) -> None:
    """Make the labels that there are a version to train on, and print the folder for `undertone train --data`.

    Of each person the newest label of a sound counts, then the emotion of most people; ties are left out.
    """
    require("trainer", "`undertone trainer` needs fsspec", "fsspec")
    from rich.console import Console

    from schemas.errors import UserError
    from trainer.collection import snapshots
    from trainer.collection.dataset import Dataset
    from trainer.collection.settings import TrainerSettings
    from undertone.storage.store import StoreAway

    opened = Dataset.open(_place(TrainerSettings.load(trainer_dataset=dataset).trainer_dataset))
    try:
        opened.id()
        made = snapshots.make(opened)
        folder = snapshots.local_folder(opened, made.version)
    except StoreAway as error:
        raise UserError(str(error)) from error
    console = Console()
    for emotion, count in sorted(made.labels.items()):
        console.print(f"{count:6d} {emotion}", highlight=False)
    for why, count in made.left_out.items():
        console.print(f"[yellow]{count:6d} left out: {why}[/]", highlight=False)
    console.print(f"{made.sounds} sounds of {made.speakers} streams, snapshot {made.version}", highlight=False)
    typer.echo(folder)


def _place(dataset: str | None) -> str:
    from schemas.errors import UserError

    if not dataset:
        raise UserError("where is the dataset? Give --dataset, or set UNDERTONE_TRAINER_DATASET")
    return dataset

"""`undertone trainer`: labels and their audio, kept as data to train on."""

import signal
from typing import Annotated

import typer

from undertone.cli.extras import require
from undertone.cli.options import BootstrapServers

app = typer.Typer()
trainer = typer.Typer(no_args_is_help=True)
app.add_typer(trainer, name="trainer", help="Keep what people label, with its audio, and make it data to train on.")

Place = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Where labels and audio are kept: a folder, s3://bucket/labels, or another of fsspec's stores. "
        "Else UNDERTONE_TRAINER_DATASET.",
        show_default=False,
    ),
]


@trainer.command()
def collect(
    dataset: Place = None,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="Return when all labels are kept that are there now.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            min=0,
            max=65535,
            help="Port of /metrics, /healthz and /readyz; 0 takes a free one. [default: 9467]",
            show_default=False,
        ),
    ] = None,
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
    from undertone.messaging.settings import KafkaSettings
    from undertone.observability.logs import set_up_log
    from undertone.observability.telemetry import Telemetry

    set_up_log()
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = TrainerSettings.load(trainer_dataset=dataset, trainer_metrics_port=metrics_port)
    place = _place(settings.trainer_dataset)
    service = CollectorService(kafka, settings, Dataset.open(place), CollectorMetrics())

    def stop(number: int, _: object) -> None:
        service.stop()
        signal.signal(number, signal.SIG_DFL)  # asked twice it ends at once, which loses nothing either

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    host, port = settings.trainer_metrics_host, settings.trainer_metrics_port
    with Telemetry(host, port, service.metrics.registry, service.health) as telemetry:
        where = f"http://{telemetry.host}:{telemetry.port}/metrics"
        done = service.run(lambda: typer.echo(f"ready: collecting labels, metrics {where}"), until_end=until_end)
    typer.echo("all labels are kept" if done else "stopped")


@trainer.command()
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

"""`undertone trainer` and its `run`: models made of the labels that are kept; `trainer_dataset.py` has the keeping."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from undertone.cli.extras import require
from undertone.cli.options import BootstrapServers
from undertone.cli.trainer_dataset import MetricsPort, collect, snapshot
from undertone.signals import from_handler, stop_on_signals

if TYPE_CHECKING:
    from trainer.collection.dataset import Dataset
    from trainer.collection.settings import TrainerSettings
    from trainer.rebuild.rebuild import Request

app = typer.Typer()
trainer = typer.Typer(invoke_without_command=True)
app.add_typer(trainer, name="trainer", help="Keep what people label, with its audio, and rebuild the model with it.")

OwnPlace = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Where labels and audio are kept: a folder, or a URL of one of fsspec's stores. "
        "Else UNDERTONE_TRAINER_DATASET, else dataset/ in --out.",
        show_default=False,
    ),
]
Out = typer.Option("--out", help="Where runs and their reports go.", file_okay=False, show_default=False)
Data = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="Corpora to train on beside the labels, as for undertone train. May be given several times.",
        show_default=False,
    ),
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, max=1000, help="Most epochs to train.", show_default=False)
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, data and machine: the same model.")]
Start = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="BUNDLE|open|none", help="Weights to start from, as for undertone train.", show_default=False
    ),
]
Prior = Annotated[
    str | None,
    typer.Option("--prior", help="How often labels are in calls, as for undertone train.", show_default=False),
]
Weight = Annotated[
    float,
    typer.Option(
        "--label-weight", min=0.01, max=100, help="How often a label is drawn where a file of --data is drawn once."
    ),
]
Name = Annotated[str, typer.Option("--name", help="The models' name; a version is the name and a checksum.")]
Accept = Annotated[
    bool,
    typer.Option(
        "--accept-new-labels",
        help="Publish also a model whose emotions are others than the champion's. Else it becomes the challenger, "
        "which `undertone models promote challenger` makes the champion.",
    ),
]


@trainer.callback()
def serve(
    context: typer.Context,
    out: Annotated[Path | None, Out] = None,
    data: Data = None,
    dataset: OwnPlace = None,
    every: Annotated[
        str, typer.Option("--every", help="Rebuild so often, where there are new labels: 24h, 30m, 7d.")
    ] = "24h",
    after_labels: Annotated[
        int, typer.Option("--after-labels", min=1, help="Rebuild as soon as so many new labels have come.")
    ] = 200,
    epochs: Epochs = None,
    seed: Seed = 0,
    start: Start = None,
    prior: Prior = None,
    label_weight: Weight = 1.0,
    name: Name = "emotions",
    accept_new_labels: Accept = False,
    metrics_port: MetricsPort = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Keep what people label, with its audio, and rebuild the model with it, until SIGTERM or Ctrl-C.

    A candidate that is better than the champion on held-out speakers takes its place in all workers; of another one a
    report says why not. SIGUSR1, or a POST to /rebuild from this machine, asks for a rebuild now.
    """
    if context.invoked_subcommand:
        return
    _require_training()
    from schemas.errors import UserError
    from trainer.collection.settings import TrainerSettings
    from trainer.rebuild.schedule import Schedule, parse_every
    from trainer.rebuild.service import TrainerService
    from undertone.cli.log import start_log
    from undertone.messaging.settings import KafkaSettings
    from undertone.observability.telemetry import Telemetry

    if out is None:
        raise UserError("undertone trainer: where do runs go? Give --out; undertone trainer --help has the rest")
    start_log()
    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = TrainerSettings.load(trainer_dataset=dataset, trainer_metrics_port=metrics_port)
    request, opened = _request(out, data, settings, epochs, seed, start, prior, label_weight, name, accept_new_labels)
    schedule = Schedule(parse_every(every), after_labels)
    service = TrainerService(kafka, settings, request, opened, schedule)
    stop_on_signals(service.stop)

    now = from_handler(service.now)
    signal.signal(signal.SIGUSR1, lambda *_: now())
    host, port = settings.trainer_metrics_host, settings.trainer_metrics_port
    with Telemetry(host, port, service.registry, service.health, {"/rebuild": service.now}) as telemetry:
        where = f"http://{telemetry.host}:{telemetry.port}/metrics"
        service.run(lambda: typer.echo(f"ready: collecting labels, metrics {where}"))
    typer.echo("stopped")


@trainer.command()
def run(
    out: Annotated[Path, Out],
    data: Data = None,
    dataset: OwnPlace = None,
    epochs: Epochs = None,
    seed: Seed = 0,
    start: Start = None,
    prior: Prior = None,
    label_weight: Weight = 1.0,
    name: Name = "emotions",
    accept_new_labels: Accept = False,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Rebuild the model once, now: collect the labels that are there, train, compare, and publish what is better.

    Ends with 2 and one line where the champion stays; the report has the figures.
    """
    _require_training()
    from rich.console import Console

    from schemas.errors import UserError
    from trainer.collection.metrics import CollectorMetrics
    from trainer.collection.service import CollectorService
    from trainer.collection.settings import TrainerSettings
    from trainer.rebuild import tracking
    from trainer.rebuild.rebuild import Rebuild
    from trainer.rebuild.runs import Runs
    from trainer.rebuild.summary import checks_table
    from trainer.report.files import REVIEW
    from undertone.messaging.clients import admin
    from undertone.messaging.settings import KafkaSettings
    from undertone.storage.store import StoreAway

    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    settings = TrainerSettings.load(trainer_dataset=dataset)
    request, opened = _request(out, data, settings, epochs, seed, start, prior, label_weight, name, accept_new_labels)
    admin(kafka).close()  # a service waits for a Kafka that is away, a person is told so at once
    collector = CollectorService(kafka, settings, opened, CollectorMetrics(), request.out)
    stopped = []

    def stop() -> None:
        stopped.append(True)
        collector.stop()

    stop_on_signals(stop)
    collector.run(lambda: None, until_end=True)
    try:
        done = Rebuild(kafka, request, typer.echo, lambda: bool(stopped)).run() if not stopped else None
    except StoreAway as error:
        raise UserError(str(error)) from error
    if done is None:
        typer.echo("stopped: nothing is published")
        raise typer.Exit(130)
    folder, decision = done
    if fault := tracking.tell(kafka, Runs(out), lambda: bool(stopped)):
        typer.echo(f"MLflow is not told of it until the next run: {fault}", err=True)
    if decision.checks:
        Console().print(checks_table(decision))
    if decision.to_review:
        typer.echo(f"labels that look wrong: {decision.to_review}; {folder / REVIEW} lists the worst")
    line = f"{decision.what}: {decision.candidate or 'no model'}, champion before: {decision.champion}; {folder}"
    if not decision.what.keeps_up:
        raise UserError(f"{line}: {decision.why}")
    typer.echo(line)


for command in (collect, snapshot):
    trainer.command()(command)


def _require_training() -> None:
    require("trainer", "`undertone trainer` needs TensorFlow and more", "fsspec", "tensorflow", "matplotlib", "librosa")


def _request(
    out: Path,
    data: list[Path] | None,
    settings: "TrainerSettings",
    epochs: int | None,
    seed: int,
    start: str | None,
    prior: str | None,
    label_weight: float,
    name: str,
    accept_new_labels: bool,
) -> tuple["Request", "Dataset"]:
    from trainer.collection.dataset import Dataset
    from trainer.rebuild.checks import Bounds
    from trainer.rebuild.rebuild import Request
    from trainer.rebuild.runs import Job

    bounds = Bounds(
        corpora=settings.trainer_gate_corpora,
        group=settings.trainer_gate_group,
        ece=settings.trainer_gate_ece,
        uncertain=settings.trainer_gate_uncertain,
        cost=settings.trainer_gate_cost,
    )
    job = Job(
        data=tuple(path.resolve() for path in data or ()),
        name=name,
        seed=seed,
        epochs=epochs,
        start=start,
        prior=prior,
        label_weight=label_weight,
        accept_new_labels=accept_new_labels,
        bounds=bounds,
        nice=settings.trainer_nice,
    )
    opened = Dataset.open(settings.trainer_dataset or str(out.resolve() / "dataset"))
    return Request(out.resolve(), job, opened, settings.trainer_lease_s), opened

"""`undertone train` as a service: the run, what the terminal shows of it, the results on disk and on Kafka."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from schemas.errors import UserError
from trainer import train
from trainer.collection import snapshots
from trainer.collection.dataset import Dataset
from trainer.data.labels import collect
from trainer.data.snapshot_folders import contents, is_dataset, note_model
from trainer.metrics import TrainerMetrics
from trainer.options import TrainingOptions
from trainer.packaging import publish
from trainer.report import files, page
from undertone.messaging.settings import KafkaSettings
from undertone.observability.telemetry import Health, Telemetry
from undertone.registry import changes

# Given for --data: what people have labelled, read from Kafka.
KAFKA = "kafka:"

# An epoch of a few thousand clips takes minutes; only a run that stands still for an hour is dead.
_HEALTH_LIMIT_S = 3600.0
_MOST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Everything that the command line says."""

    options: TrainingOptions
    out: Path
    publish: bool = False
    force: bool = False
    metrics_port: int | None = None
    bootstrap_servers: str | None = None


def serve(request: TrainRequest, console: Console) -> None:
    """Train, write the results, publish if asked.

    Raises:
        UserError: bad data, a folder that cannot be written, no Kafka, or a candidate that is not to be published.
    """
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {request.out}: cannot be written ({error.strerror})") from None
    settings = KafkaSettings.load(bootstrap_servers=request.bootstrap_servers)
    # Asked before an hour of training, not after it.
    running = publish.running_model(settings) if request.publish else None
    options = _with_snapshots(_with_labels(request, settings, console), console)
    learnt_from = contents(options.data)
    metrics = TrainerMetrics()
    with _telemetry(request.metrics_port, metrics, console) as health:
        with _shown(console, metrics, health) as progress:
            outcome = train.run(options, progress)
        metrics.trained(outcome)
        figures = page.write(outcome, request.out)
        for path in options.data:
            note_model(path, outcome.final.bundle.card.version)
        for what, count in outcome.labelled.warnings.items():
            console.print(f"[yellow]{what}: {count}[/]", highlight=False)
        for line in outcome.labelled.errors[:_MOST_ERRORS]:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
        console.print(_table(figures))
        console.print(f"{request.out / files.BUNDLE}  {request.out / files.PAGE}", highlight=False, soft_wrap=True)
        if contents(options.data) != learnt_from:
            raise UserError(f"{request.out}: a call was forgotten while this was trained with it: train again")
        if running is None:
            return
        decision = publish.decide(
            outcome.final.bundle,
            outcome.results["clean"].uar,
            running,
            lambda model: train.evaluate_other(outcome, model).uar,
        )
        if not (decision.publish or request.force):
            raise UserError(f"not published: {decision.why}; --force publishes it all the same")
        offset = changes.publish(outcome.final.bundle, settings)
        version = outcome.final.bundle.card.version
        console.print(f"Published {version} ({decision.why}), models offset {offset}.", highlight=False)


def _with_labels(request: TrainRequest, settings: KafkaSettings, console: Console) -> TrainingOptions:
    """The options with `kafka:` replaced by a folder of what people have labelled."""
    options = request.options
    if not any(str(path) == KAFKA for path in options.data):
        return options
    found = collect(settings, request.out / "labels")
    for what, count in found.left_out.items():
        console.print(f"[yellow]labels not used, {what}: {count}[/]", highlight=False)
    console.print(f"{found.files} labelled stretches of calls in {found.manifest.parent}", highlight=False)
    paths = tuple(found.manifest if str(path) == KAFKA else path for path in options.data)
    return replace(options, data=paths)


def _with_snapshots(options: TrainingOptions, console: Console) -> TrainingOptions:
    """The options with each dataset of labels replaced by a snapshot of what it has now."""
    paths = []
    for path in options.data:
        if not is_dataset(path):
            paths.append(path)
            continue
        dataset = Dataset.open(str(path), "--data")
        made = snapshots.make(dataset)
        for what, count in made.left_out.items():
            console.print(f"[yellow]labels not used, {what}: {count}[/]", highlight=False)
        console.print(f"{made.sounds} labelled sounds of {path}, snapshot {made.version}", highlight=False)
        paths.append(snapshots.local_folder(dataset, made.version))
    return replace(options, data=tuple(paths))


@contextmanager
def _telemetry(port: int | None, metrics: TrainerMetrics, console: Console) -> Iterator[Health]:
    health = Health(limit_s=_HEALTH_LIMIT_S, ready=True)
    if port is None:
        yield health
        return
    with Telemetry("127.0.0.1", port, metrics.registry, health) as server:
        console.print(f"Metrics on http://{server.host}:{server.port}/metrics", highlight=False)
        yield health


@contextmanager
def _shown(console: Console, metrics: TrainerMetrics, health: Health) -> Iterator[train.Progress]:
    """A bar for each stage on a terminal, a line for each stage elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def progress(what: str, done: int, total: int) -> None:
            health.beat()
            stage = what.partition(":")[0]
            if not total:
                console.print(what, highlight=False)
                return
            metrics.progress.labels(stage).set(done / total)
            if stage not in tasks:
                tasks[stage] = bars.add_task(what, total=total)
            bars.update(tasks[stage], completed=done, description=what)
            if not console.is_terminal and (done == total or stage.startswith("Training")):
                console.print(f"{what} ({done}/{total})", highlight=False)

        yield progress


def _table(figures: dict[str, Any]) -> Table:
    test = figures["test"]
    low, high = test["uar_interval_over_speakers"]
    table = Table("held-out speakers", "UAR", "accuracy", "macro F1", "ECE", title=figures["model_version"])
    for name, part in {"clean": test, **figures["conditions"]}.items():
        interval = f" ({low:.2f} to {high:.2f})" if name == "clean" else ""
        cells = (f"{part[key]:.3f}" for key in ("accuracy", "macro_f1", "ece"))
        table.add_row(f"{name}, {part['n']} files", f"{part['uar']:.3f}{interval}", *cells)
    return table

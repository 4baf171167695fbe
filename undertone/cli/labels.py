"""`undertone labels`: what people have said."""

from enum import StrEnum
from pathlib import Path
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
            help="The dataset to delete them from at once. Else UNDERTONE_TRAINER_DATASET, or dataset/ in --out, or "
            "none: collectors do it.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="The trainer's folder, whose reports are rewritten without the call; without --dataset its dataset is "
            "looked at, too. Reports beside the dataset are found without it.",
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Delete a call's labels and audio from dataset, snapshots, caches and reports, and call them back from trainers.

    Names the models that were trained with the call: from those it cannot be taken.
    """
    require("trainer", "`undertone labels` needs fsspec", "fsspec")
    from trainer.collection.erasure import forget_labels
    from trainer.collection.settings import TrainerSettings
    from undertone.messaging.settings import KafkaSettings

    kafka = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    place = TrainerSettings.load(trainer_dataset=dataset).trainer_dataset or (str(out / "dataset") if out else None)
    erased = forget_labels(kafka, call_id, place, out)
    typer.echo("labels on Kafka: called back; trainings and collectors leave them out from now on")
    if erased is None:
        typer.echo("datasets: a collector deletes them when it reads this; none was given to look at now")
        return
    typer.echo(f"labels deleted from the dataset, with their audio: {erased.labels}")
    typer.echo(f"snapshots that had them: {erased.snapshots}; cached features deleted: {erased.features}")
    typer.echo(f"files of reports rewritten without it: {erased.reports}")
    for model in erased.models:
        typer.echo(f"cannot be taken from model {model}, which was trained with it: train again without it")
    if not erased.models:
        typer.echo("models: none is known to be trained with it")


class SuggestionFormat(StrEnum):
    """What to print."""

    TABLE = "table"
    JSONL = "jsonl"


Count = Annotated[int, typer.Option("--count", min=1, max=10_000, help="How many at most.")]


@labels.command()
def suggest(
    count: Count = 20,
    form: Annotated[
        SuggestionFormat, typer.Option("--format", help="A row for each, or a JSON line: the event's data and its id.")
    ] = SuggestionFormat.TABLE,
    console: Annotated[
        str | None,
        typer.Option(
            "--console",
            metavar="URL",
            help="Of an undertone console, as http://127.0.0.1:8080: each gets the link to its sound there. Else it is "
            "`undertone audio` that writes it.",
            show_default=False,
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Which utterances to label next: those of which the model is least sure, and what it rarely says.

    Only such as nobody has labelled and Kafka still has the sound of; at most three of a call.
    """
    from rich.console import Console

    from trainer.labelling.suggestions import suggested
    from trainer.labelling.tables import json_line, suggestions_table
    from undertone.messaging.settings import KafkaSettings

    found = suggested(KafkaSettings.load(bootstrap_servers=bootstrap_servers), count)
    if form is SuggestionFormat.JSONL:
        for one in found:
            typer.echo(json_line(one.utterance, console))
        return
    if not found:
        typer.echo("nothing to label: every utterance whose sound Kafka still has is labelled")
        return
    Console().print(suggestions_table(found, console))


@labels.command()
def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output", help="The folder for tasks.json and the WAV files.", file_okay=False, show_default=False
        ),
    ],
    count: Count = 100,
    url: Annotated[
        str, typer.Option("--url", help="What stands before a file's name where Label Studio finds it.")
    ] = "/data/local-files/?d=",
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Write the suggested utterances as tasks for Label Studio, with their sound."""
    from contextlib import closing

    from trainer.labelling.heard import Sound
    from trainer.labelling.label_studio import TASKS, export_tasks
    from trainer.labelling.suggestions import suggested
    from undertone.messaging.settings import KafkaSettings

    settings = KafkaSettings.load(bootstrap_servers=bootstrap_servers)
    chosen = [one.utterance for one in suggested(settings, count)]
    with closing(Sound(settings)) as sound:
        written = export_tasks(chosen, sound.samples, output, url)
    typer.echo(f"{written} tasks in {output / TASKS}")


@labels.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Label Studio's export, format JSON.", show_default=False)
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", help="Who labelled. Default: each annotation's author.", show_default=False),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Send what people have said in Label Studio as labels, with the times at which they said it.

    It may be done again: of each person the newest label counts.
    """
    from trainer.labelling.label_studio import read_annotations
    from trainer.labelling.sending import send
    from undertone.messaging.settings import KafkaSettings

    sent = send(KafkaSettings.load(bootstrap_servers=bootstrap_servers), list(read_annotations(file, by)))
    typer.echo(f"{sent} labels sent")

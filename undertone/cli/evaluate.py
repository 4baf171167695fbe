"""`undertone evaluate`: how often the model is right on labelled files."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import UserError
from undertone.cli.options import Model

app = typer.Typer()


class BandName(StrEnum):
    """What the audio passes through first."""

    CLEAN = "clean"
    TELEPHONE = "telephone"


@app.command()
def evaluate(
    manifest: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST.csv",
            help="A CSV with the columns path (relative to it), emotion and speaker.",
            show_default=False,
        ),
    ],
    band: Annotated[
        BandName, typer.Option(help="telephone: resample to 8 kHz and code as mu-law first.")
    ] = BandName.CLEAN,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.", show_default=False)
    ] = None,
    model: Model = None,
) -> None:
    """Count how often the model is right: UAR, F1, calibration, confusions.

    Files go through the same engine as live calls, silence and all. A
    prediction is what the engine says after a file's last sample; UAR after
    0.5, 1, 2 and 3 seconds of speech tells how soon it is known. Labels that
    the model does not know are left out and counted; labels that the
    manifest lacks are not offered to the model.

    Ends with 1 where files could not be read; the figures are then of the others.

    Examples:

        undertone evaluate corpus/manifest.csv

        undertone evaluate corpus/manifest.csv --band telephone --json telephone.json
    """
    from rich.console import Console
    from rich.progress import Progress

    from undertone.analysis.evaluate import evaluate as run
    from undertone.analysis.prediction import Band
    from undertone.analysis.tables import print_evaluation
    from undertone.inference.model import Model as LoadedModel

    if json_file and not json_file.parent.is_dir():
        raise UserError(f"{json_file}: no such folder")
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("predicting", total=None)
        result = run(
            manifest,
            LoadedModel.load(model),
            Band(band.value),
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    print_evaluation(result, Console())
    if json_file:
        try:
            json_file.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{json_file}: {error.strerror}") from error
    raise typer.Exit(1 if result.unreadable else 0)

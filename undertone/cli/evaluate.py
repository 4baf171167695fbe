"""`undertone evaluate`: how often the model is right on labelled files."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import UserError
from undertone.cli.options import ClassPrior, Model

if TYPE_CHECKING:
    from undertone.analysis.alarms import AngerInCalls
    from undertone.analysis.evaluate import Evaluation
    from undertone.analysis.unlabelled import Unlabelled

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
            help="A CSV with the columns path (relative to it), emotion and speaker; with --calls also call and order. "
            "With --unlabelled the column path will do, or a recording, or a folder of them.",
            show_default=False,
        ),
    ],
    calls: Annotated[
        bool,
        typer.Option(
            "--calls",
            help="Hear the files of each call one after the other, by order, with a second of silence between.",
        ),
    ] = False,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled", help="Calls without labels: share of the speech time by label, false alarms, flips."
        ),
    ] = False,
    band: Annotated[
        BandName, typer.Option(help="telephone: resample to 8 kHz and code as mu-law first.")
    ] = BandName.CLEAN,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.", show_default=False)
    ] = None,
    model: Model = None,
    class_prior: ClassPrior = None,
) -> None:
    """Count how often the model is right: UAR, F1, calibration, confusions.

    Files go through the same engine as live calls, silence and all. A
    prediction is what the engine says after a file's last sample; UAR after
    0.5, 1, 2 and 3 seconds of speech tells how soon it is known. Labels that
    the model does not know are left out and counted; labels that the
    manifest lacks are not offered to the model.

    With --calls, files without a label that the model knows are heard and not
    counted, and figures are given for the first utterance of a call, after
    three to nine others, and after ten or more. As workers would judge them,
    with the card's class prior, angry files are counted in which an alarm of
    anger would be met within 3 s of speech, and false alarms in neutral and
    calm ones.

    With --unlabelled, a recording's channels are heard apart, agents too, and
    files of one call and order as its one speaker's. A flip is any change of
    the label.

    An alarm of anger goes off with an utterance of 1 s or more that is angry
    at 0.15 or more, and louder and more stirred than the caller's own normal
    by half of a standard deviation; one of distress with a label that turns to
    fearful or sad. Neither goes off again in the same stream for a minute.

    A corpus has as many of one emotion as of another, and calls have not: by
    default labels are expected equally often in labelled files, and as the
    model's card says in unlabelled calls. --class-prior says otherwise.

    Ends with 1 where files could not be read; the figures are then of the others.

    Examples:

        undertone evaluate corpus/manifest.csv

        undertone evaluate corpus/manifest.csv --band telephone --json telephone.json

        undertone evaluate simulated-calls.csv --calls

        undertone evaluate recordings/ --unlabelled
    """
    from rich.console import Console

    from undertone.analysis.alarms import ALARMS, AngerCount
    from undertone.analysis.evaluate import evaluate as run
    from undertone.analysis.prediction import Band
    from undertone.analysis.tables import print_anger, print_evaluation, print_unlabelled
    from undertone.analysis.unlabelled import evaluate_unlabelled
    from undertone.inference.model import Model as LoadedModel

    if json_file and not json_file.parent.is_dir():
        raise UserError(f"{json_file}: no such folder")
    result: Evaluation | Unlabelled  # never evaluated: the names are there for the type checker alone
    anger: AngerInCalls | None = None
    bare = LoadedModel.load(model)
    as_workers = bare.with_prior(class_prior) if class_prior else bare
    if unlabelled:
        result = evaluate_unlabelled(manifest, as_workers, Band(band.value))
        print_unlabelled(result, Console())
    else:
        expecting = bare.with_prior(class_prior or "uniform")
        alarmed = calls and ALARMS["anger"].known_to(bare.card)
        count = AngerCount(manifest, as_workers, expecting) if alarmed else None
        with _progress() as follow:
            result = run(manifest, expecting, Band(band.value), follow, calls=calls, also=count.take if count else None)
        print_evaluation(result, Console())
        if count:
            anger = count.result()
            print_anger(anger, Console())
    if json_file:
        figures = result.to_json() | ({"anger": anger.to_json()} if anger else {})
        try:
            json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"{json_file}: {error.strerror}") from error
    raise typer.Exit(1 if result.unreadable else 0)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, and the function that moves it."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("predicting", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

"""`undertone train`: labelled speech to a model bundle and a report."""

from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.extras import require
from undertone.cli.options import BootstrapServers

app = typer.Typer()


@app.command()
def train(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="A CSV (columns path, emotion, speaker; also gender, corpus, licence), a folder with a manifest.csv, "
            "or a folder of RAVDESS, CREMA-D, TESS, SAVEE, EmoDB, nEMO, EMOVO or AESDD as published; kafka: for what "
            "people labelled on emotion-labels. May be given several times.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Where model.zip, report.html, metrics.json and confusion_matrix.png go.",
            file_okay=False,
            show_default=False,
        ),
    ],
    more: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="More data: --data A B C is --data A --data B --data C."),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Give the bundle to running workers, if it beats the model they run.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Publish even if it does not beat the running model.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="BUNDLE|open|none",
            help="Weights to start from: a bundle with its .weights.npz beside it, open (those for commercial use), or "
            "none. Default: the shipped ones, unless the data's corpus was among their training data.",
            show_default=False,
        ),
    ] = None,
    test_speakers: Annotated[
        str | None,
        typer.Option(
            "--test-speakers",
            help="Speakers to test on, as in ravdess/03,ravdess/06 or 03,06; a whole corpus as emodb/*. "
            "Default: a fifth of each corpus's.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            min=3,
            max=20,
            help="Test every speaker in turn, in so many folds, and train the bundle on everybody. "
            "Takes that many times as long.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, max=1000, help="Most epochs to train.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, data and machine: the same model.")] = 0,
    noise: Annotated[
        list[Path] | None,
        typer.Option("--noise", help="Sounds to train against, files or folders; else synthetic.", show_default=False),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            "--prior",
            help="How often labels are in the calls that the model is for: uniform, or shares as in "
            "neutral=0.6,calm=0.2; labels without a share divide the rest. Default: as in the data.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="The model's name; its version is the name and a checksum.")
    ] = "emotions",
    metrics_port: Annotated[
        int | None,
        typer.Option("--metrics-port", min=0, max=65535, help="Serve /metrics while training.", show_default=False),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
) -> None:
    """Train a model on labelled speech and test it on speakers that were not in training.

    One command is enough: undertone train --data my_labels.csv --out my_model
    """
    # TensorFlow takes seconds to load, and only the trainer's installation has it.
    require("trainer", "training needs TensorFlow and more", "tensorflow", "matplotlib", "librosa")
    from rich.console import Console

    from trainer.quiet import quiet

    with quiet():
        from trainer.options import TrainingOptions
        from trainer.service import TrainRequest, serve

    speakers = tuple(part.strip() for part in (test_speakers or "").split(",") if part.strip())
    options = TrainingOptions(
        (*data, *(more or ())), name, seed, epochs, start, speakers, folds, tuple(noise or ()), prior
    )
    serve(TrainRequest(options, out, publish, force, metrics_port, bootstrap_servers), Console())

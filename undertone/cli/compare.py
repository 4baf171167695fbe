"""`undertone compare`: the systems that people know and the network that ships, on the same folds."""

import os
from pathlib import Path
from typing import Annotated

import typer

from undertone.cli.extras import require

app = typer.Typer()


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


@app.command()
def compare(
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            help="As for `undertone train`: a CSV manifest or a folder of a corpus as published. May be given several "
            "times; every corpus is compared on by itself.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Where compare.md, compare.json and images/ go.", file_okay=False, show_default=False
        ),
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer systems, features, trials and repeats: minutes instead of hours.")
    ] = False,
    systems: Annotated[
        str | None, typer.Option("--systems", help="Only these, as in svm-rbf,gru,undertone.", show_default=False)
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", help="Only these sets, as in mfcc,mel,all.", show_default=False)
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=0, help="Settings tried for each fold; 0: the defaults.", show_default=False),
    ] = None,
    network_trials: Annotated[
        int | None, typer.Option("--network-trials", min=0, help="The same for networks.", show_default=False)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, help="Seeds of each system that has one.", show_default=False)
    ] = None,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Run nothing; write the page of the cells that are finished.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of searches, random splits and models.")] = 0,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Processes; default: the cores.", show_default=False)
    ] = None,
) -> None:
    """Compare classifiers and networks on the same speaker-independent folds, and show what a random split hides.

    A run that is broken off goes on where it stood when the same command is given again.
    """
    require("trainer", "comparing needs TensorFlow and more", "tensorflow", "optuna", "matplotlib", "librosa")
    # TensorFlow's notes about processors and drivers would tear the progress bars.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from rich.console import Console

    from trainer.compare.service import CompareRequest, serve

    asked = {"trials": trials, "network_trials": network_trials, "repeats": repeats, "seed": seed}
    request = CompareRequest(
        tuple(data),
        out,
        quick,
        _names(systems),
        _names(features),
        changes={name: value for name, value in asked.items() if value is not None},
        jobs=jobs or os.cpu_count() or 1,
        so_far=so_far,
    )
    serve(request, Console())

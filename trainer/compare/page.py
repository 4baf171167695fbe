"""compare.json and compare.md: everything that was run, and the page that people read."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.errors import UserError
from trainer.compare import error_analysis, findings, plots
from trainer.compare.bench import describe
from trainer.compare.findings import Board, percent
from trainer.compare.grid import Grid
from trainer.compare.summary import CellSummary

JSON, PAGE, IMAGES = "compare.json", "compare.md", "images"
CHAPTERS = {
    "Who wins": findings.who_wins,
    "What the random split hides": findings.what_random_hides,
    "Which features carry": findings.which_features_carry,
    "Which emotions are confused": error_analysis.which_emotions,
    "Whose voices are hard": error_analysis.which_speakers,
    "How much has to be heard": error_analysis.how_long,
    "What the speaker's earlier utterances add": error_analysis.after_what_was_said_before,
    "What varies": findings.what_varies,
    "What the search chose": findings.what_was_chosen,
    "What it costs": findings.what_it_costs,
}
PLOTS = {
    "What the random split hides": ("systems", "UAR of each system, by speaker and at random"),
    "Which features carry": ("features", "UAR by system and features"),
    "Which emotions are confused": ("confusion", "Confusion matrices"),
    "Whose voices are hard": ("speakers", "UAR by speaker"),
    "How much has to be heard": ("heard", "UAR after so many seconds of speech"),
    "What it costs": ("cost", "UAR against size"),
}


def write(boards: Sequence[Board], grid: Grid, notes: Sequence[str], out: Path, jobs: int) -> dict[str, Any]:
    """Write the page, the figures and the plots into `out`; returns what compare.json holds.

    Raises:
        UserError: the folder cannot be written.
    """
    figures = {
        "format": 1,
        "run": _run(grid, jobs, boards),
        "notes": list(notes),
        "corpora": [_corpus(board) for board in boards],
    }
    try:
        images = [plots.write_all(board, out / IMAGES) for board in boards]
        (out / JSON).write_text(json.dumps(figures, separators=(",", ":")).replace('{"system"', '\n{"system"') + "\n")
        (out / PAGE).write_text(_page(figures, boards, images))
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    return figures


def make_folder(out: Path) -> None:
    """The folder that `write` will write into.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made ({error.strerror})") from None
    if not os.access(out, os.W_OK):
        raise UserError(f"{out}: cannot be written")


def _run(grid: Grid, jobs: int, boards: Sequence[Board]) -> dict[str, Any]:
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "grid": "quick" if grid.quick else "full",
        "systems": list(grid.systems),
        "features": list(grid.features),
        "protocol": grid.protocol.model_dump(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "jobs": jobs,
        "cells": {
            "finished": sum(len(board.summaries) for board in boards),
            "of": sum(len(grid.cells(board.bench.name)) for board in boards),
        },
        "cell_hours": round(sum(s.seconds for board in boards for s in board.summaries) / 3600, 2),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("scikit-learn", "keras", "tensorflow", "optuna", "numpy")},
        },
    }


def _corpus(board: Board) -> dict[str, Any]:
    cells = []
    for summary in sorted(board.summaries, key=lambda s: (s.split != "speakers", -s.uar)):
        cell = summary.model_dump()
        if summary.split == "speakers":
            gap = board.inflation(summary)
            cell["random_split_adds"] = None if gap is None else round(gap, 4)
        cells.append(cell)
    learned = {title: sentences for title, tell in CHAPTERS.items() if (sentences := tell(board))}
    return {**describe(board.bench), "learned": learned, "cells": cells}


def _page(figures: dict[str, Any], boards: Sequence[Board], images: Sequence[dict[str, str]]) -> str:
    parts = ["# The systems that people know, on one bench", _preface(figures)]
    for board, corpus, names in zip(boards, figures["corpora"], images, strict=True):
        parts += [f"## {board.bench.name}", _about(corpus)]
        for title, sentences in corpus["learned"].items():
            parts.append(f"### {title}")
            if title in PLOTS and PLOTS[title][0] in names:
                kind, what = PLOTS[title]
                parts.append(f"![{what}, {board.bench.name}]({IMAGES}/{names[kind]})")
            parts.append("\n".join(f"- {sentence}" for sentence in sentences))
        parts += ["### All cells", _table(board)]
    if figures["notes"]:
        parts += ["## Left out", "\n".join(f"- {note}" for note in figures["notes"])]
    return "\n\n".join(parts) + "\n"


def _preface(figures: dict[str, Any]) -> str:
    run = figures["run"]
    protocol = run["protocol"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"Written by `undertone compare` on {run['made']}; every number and sentence below comes from that run, and "
        f"`{JSON}` holds all of it.\n\n"
        "The figure is UAR, the mean of the emotions' recalls in per cent, so that a frequent emotion counts no more "
        "than a rare one. Every speaker is tested by models that were not trained on them: nothing of a test speaker "
        "is in training, in normalisation, in the search of settings or in the choice of an epoch. Settings are "
        f"searched by Optuna on inner speakers of the training part ({protocol['trials']} trials on "
        f"{protocol['inner_folds']} inner folds for clip-level systems, {protocol['network_trials']} on one inner fold "
        "for networks; the first trial is the defaults; with one training speaker the defaults stand). Systems whose "
        f"result depends on a seed are trained {protocol['repeats']} times with the same settings. The random 80/20 "
        f"split ({protocol['random_splits']} of them) is there to show what it hides, and for nothing else; its search "
        "runs on inner speakers too. `undertone` is the network that ships, by its own recipe, from random weights and "
        "on this corpus alone: without the other corpora that the shipped bundle was trained on.\n\n"
        f"This was the {run['grid']} grid: {len(run['systems'])} systems, {len(run['features'])} sets of clip-level "
        f"features, {run['cells']['finished']} of {run['cells']['of']} cells finished, "
        f"{run['cell_hours']} hours of cells in {run['jobs']} process"
        f"{'es' if run['jobs'] > 1 else ''} on {run['machine']}, seed {protocol['seed']}; {versions}."
    )


def _about(corpus: dict[str, Any]) -> str:
    counts = ", ".join(f"{label} {count}" for label, count in corpus["counts"].items())
    folds = "; ".join(", ".join(who.partition("/")[2] or who for who in fold) for fold in corpus["folds"])
    return (
        f"{corpus['clips']} clips of {corpus['speakers']} speakers: {counts}. Half of the clips hold less than "
        f"{corpus['speech_s']['median']} s of speech. Folds by speaker: ({folds})."
    )


def _table(board: Board) -> str:
    head = (
        "| system | features | UAR, new speakers | 95% over speakers | std over folds | std over seeds | accuracy "
        "| UAR, random split | the split adds | numbers kept | s to train |"
    )
    return "\n".join([head, "|---|---" + "|--:" * 9 + "|", *(_row(board, summary) for summary in board.ranked)])


def _row(board: Board, s: CellSummary) -> str:
    gap = board.inflation(s)
    cells = (
        s.system,
        s.features,
        percent(s.uar),
        f"{percent(s.interval[0])} to {percent(s.interval[1])}" if s.interval else "-",
        "-" if s.uar_std_folds is None else percent(s.uar_std_folds),
        "-" if s.uar_std_repeats is None else percent(s.uar_std_repeats),
        percent(s.accuracy),
        "-" if gap is None else percent(s.uar + gap),
        "-" if gap is None else f"{100 * gap:+.1f}",
        f"{s.parameters:,}",
        f"{s.fit_seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |"

"""The plots of one corpus, as PNG files. Figures are made without pyplot: no global state, no display."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from trainer.compare.findings import Board
from trainer.compare.summary import CellSummary

# Okabe and Ito's colours, which colour-blind people can tell apart.
COLOURS = {
    "trees": "#009E73",
    "kernels": "#0072B2",
    "linear": "#56B4E9",
    "Bayes": "#999999",
    "MLP": "#E69F00",
    "CNN": "#CC79A7",
    "RNN": "#D55E00",
    "Undertone": "#000000",
}
DPI = 120
LINES = 5  # systems in plots that draw one line or column for each


def write_all(board: Board, folder: Path) -> dict[str, str]:
    """Write every plot that the board has figures for; their file names by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Board], Figure | None]] = {
        "systems": systems,
        "features": features,
        "confusion": confusion,
        "speakers": speakers,
        "heard": after_seconds,
        "cost": cost,
    }
    written = {}
    for kind, make in makers.items():
        figure = make(board)
        if figure is not None:
            name = f"compare-{board.bench.name}-{kind}.png"
            figure.savefig(folder / name, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
            written[kind] = name
    return written


def systems(board: Board) -> Figure:
    """Each system with its best features: new speakers with interval, and the random split beside it."""
    rows = board.best_of_each[::-1]
    figure = Figure(figsize=(8.5, 0.42 * len(rows) + 1.5))
    axes = figure.subplots()
    for y, summary in enumerate(rows):
        colour = COLOURS[summary.family]
        if summary.interval:
            axes.plot(summary.interval, (y, y), color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        gap = board.inflation(summary)
        if gap is not None:
            axes.plot((summary.uar, summary.uar + gap), (y, y), color="#777777", linewidth=1, linestyle=":")
            axes.plot(summary.uar + gap, y, "o", markerfacecolor="white", markeredgecolor=colour, markersize=7)
        axes.plot(summary.uar, y, "o", color=colour, markersize=8)
    axes.plot([], [], "o", color="#444444", label="held-out speakers (bar: 95% over speakers)")
    axes.plot([], [], "o", markerfacecolor="white", markeredgecolor="#444444", label="random 80/20 split")
    axes.axvline(1 / len(board.bench.labels), color="#999999", linestyle="--", linewidth=1, label="guessing")
    axes.set_yticks(range(len(rows)), [f"{s.system}  ({s.features})" for s in rows])
    axes.set_xlabel("UAR")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(f"{board.bench.name}: each system with its best features")
    # Below the axis by half an inch, however many rows there are.
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.5 / (0.42 * len(rows) + 0.3)), ncol=3, frameon=False)
    axes.set_xlim(left=0)
    _clean(axes)
    axes.grid(axis="x", alpha=0.3)
    return figure


def features(board: Board) -> Figure | None:
    """UAR of systems by sets of features, on held-out speakers."""
    cells = {(s.system, s.features): s.uar for s in board.ranked}
    rows = [s.system for s in board.best_of_each]
    columns = sorted({f for _, f in cells}, key=lambda f: -np.mean([u for (_, g), u in cells.items() if g == f]))
    if len(cells) < 2:
        return None
    table = np.array([[cells.get((row, column), np.nan) for column in columns] for row in rows])
    figure = Figure(figsize=(1.0 * len(columns) + 2.2, 0.42 * len(rows) + 1.8))
    axes = figure.subplots()
    image = axes.imshow(table, cmap="viridis", aspect="auto", vmin=1 / len(board.bench.labels))
    middle = (np.nanmax(table) + 1 / len(board.bench.labels)) / 2
    for i, j in np.ndindex(*table.shape):
        if not np.isnan(table[i, j]):
            colour = "white" if table[i, j] < middle else "black"
            axes.text(j, i, f"{100 * table[i, j]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(f"{board.bench.name}: UAR in per cent on held-out speakers")
    figure.colorbar(image, ax=axes, format=PercentFormatter(1.0, decimals=0), shrink=0.8)
    return figure


def confusion(board: Board) -> Figure:
    """Confusion matrices of the best system of up to four families."""
    chosen: dict[str, CellSummary] = {}
    for summary in board.best_of_each:
        chosen.setdefault(summary.family, summary)
    shown = list(chosen.values())[:4]
    labels = board.bench.labels
    across = min(2, len(shown))
    down = -(-len(shown) // across)
    size = max(3.6, 0.55 * len(labels) + 1.2)
    figure = Figure(figsize=(size * across + 1, size * down + 0.5), layout="constrained")
    for place, summary in enumerate(shown):
        axes = figure.add_subplot(down, across, place + 1)
        counts = np.array(summary.confusion)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.ndindex(*share.shape):
            if share[i, j] >= 0.005:
                colour = "white" if share[i, j] > 0.5 else "black"
                axes.text(j, i, f"{100 * share[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_title(f"{summary.system} ({summary.features}), {100 * summary.uar:.1f}", fontsize=10)
        axes.set_xlabel("predicted", fontsize=9)
        axes.set_ylabel("labelled", fontsize=9)
    figure.suptitle(f"{board.bench.name}: per cent of each emotion, held-out speakers")
    return figure


def speakers(board: Board) -> Figure | None:
    """UAR by speaker for the best systems, speakers from hard to easy."""
    shown = [s for s in board.best_of_each[:LINES] if len(s.by_speaker) > 1]
    if not shown:
        return None
    gender = {who: u.gender for who, u in zip(board.bench.groups, board.bench.utterances, strict=True)}
    order = sorted(shown[0].by_speaker, key=lambda who: np.mean([s.by_speaker[who] for s in shown]))
    figure = Figure(figsize=(max(6.0, 0.42 * len(order) + 2), 4.2))
    axes = figure.subplots()
    for k, summary in enumerate(shown):
        style: dict[str, Any] = {"color": COLOURS[summary.family], "marker": "osD^v"[k], "markersize": 6 if k else 8}
        axes.plot([summary.by_speaker[who] for who in order], linestyle="", label=summary.system, **style)
    names = [f"{who.partition('/')[2] or who}{f' ({gender[who][0]})' if gender.get(who) else ''}" for who in order]
    axes.set_xticks(range(len(order)), names, rotation=60 if len(order) > 6 else 0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("UAR")
    axes.set_title(f"{board.bench.name}: by speaker, each tested by a model that was not trained on them")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes.grid(axis="y", alpha=0.3)
    _clean(axes)
    return figure


def after_seconds(board: Board) -> Figure | None:
    """UAR after so many seconds of speech."""
    shown = [s for s in board.best_of_each if s.after][:LINES]
    if not shown:
        return None
    figure = Figure(figsize=(7.2, 4.2))
    axes = figure.subplots()
    seconds = [float(second) for second in shown[0].after]
    for k, summary in enumerate(shown):
        values = [*summary.after.values(), summary.uar]
        style: dict[str, Any] = {
            "color": COLOURS[summary.family],
            "marker": "osD^v"[k],
            "linestyle": ("-", "--", ":", "-.", "-")[k],
        }
        axes.plot(range(len(values)), values, label=f"{summary.system} ({summary.features})", **style)
    axes.axhline(1 / len(board.bench.labels), color="#999999", linestyle="--", linewidth=1, label="guessing")
    axes.set_xticks(range(len(seconds) + 1), [*(f"{second:g} s" for second in seconds), "whole clip"])
    axes.set_xlabel("speech so far")
    axes.set_ylabel("UAR")
    # Room above the curves for the names.
    axes.set_ylim(0, 1.45 * max(s.uar for s in shown))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(f"{board.bench.name}: after so much speech, held-out speakers")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    axes.grid(axis="y", alpha=0.3)
    _clean(axes)
    return figure


def cost(board: Board) -> Figure | None:
    """UAR against the numbers that a model keeps."""
    shown = board.best_of_each
    if len(shown) < 2:
        return None
    figure = Figure(figsize=(8.0, 4.6))
    axes = figure.subplots()
    for summary in shown:
        axes.plot(summary.parameters, summary.uar, "o", color=COLOURS[summary.family], markersize=8)
    axes.set_xscale("log")
    axes.margins(x=0.18, y=0.1)
    axes.set_xlabel("numbers that the model keeps")
    axes.set_ylabel("UAR")
    axes.yaxis.set_major_locator(MultipleLocator(0.05))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(f"{board.bench.name}: each system with its best features, held-out speakers")
    axes.grid(alpha=0.3)
    _clean(axes)
    _name_points(axes, [(s.parameters, s.uar, s.system) for s in shown])
    return figure


def _name_points(axes: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write each point's name beside it, at the first of eight places where it covers no point and no other name."""
    pixels = axes.transData.transform([(x, y) for x, y, _ in points])
    scale = axes.figure.dpi / 72
    taken = [(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale) for x, y in pixels]
    places = [(side, rise) for rise in (-3, 7, -13, 17) for side in (1, -1)]
    for (x, y), (parameters, uar, name) in zip(pixels, points, strict=True):
        width = 4.8 * len(name) * scale  # of 8-point letters
        for side, rise in places:
            left, bottom = (x + 8 * scale if side > 0 else x - 8 * scale - width), y + rise * scale
            box = (left, bottom, left + width, bottom + 8 * scale)
            if not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        axes.annotate(
            name,
            (parameters, uar),
            (8 * side, rise),
            textcoords="offset points",
            fontsize=8,
            ha="left" if side > 0 else "right",
        )


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _clean(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)

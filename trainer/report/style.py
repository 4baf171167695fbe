"""How the report's charts look, and how they get into the page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, LINE, ACCENT = "#1f2630", "#5d6875", "#e4e7eb", "#3b6fb6"
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b7bec7",
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "undertone",  # the same figure gives the same bytes
}


@contextmanager
def style() -> Iterator[None]:
    """A context in which figures take the report's style."""
    with rc_context(_STYLE):
        yield


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of that many inches and its axes, row by row. No pyplot: nothing global, nothing to close."""
    made = Figure(figsize=(width, height), layout="constrained")
    axes = made.subplots(rows, columns, squeeze=False, **options)
    return made, list(axes.flat)


def svg(made: Figure) -> str:
    """The figure as a data URI, which an <img> shows without fetching anything."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def png(made: Figure, dpi: int = 160) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def share_axis(axes: Axes, name: str, *, vertical: bool = True) -> None:
    """An axis from 0 to 1 with a name."""
    if vertical:
        axes.set(ylim=(0, 1.02), ylabel=name)
    else:
        axes.set(xlim=(0, 1.02), xlabel=name)

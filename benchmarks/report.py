"""A run's result for people: tables, plots, and the table of the README.

python -m benchmarks.report     # README.md gets the figures of benchmarks/results/latest.json; `make docs` does it
"""

import json
import re
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.support.paths import ROOT

RESULT = ROOT / "benchmarks" / "results" / "latest.json"
README = ROOT / "README.md"
_MARKED = re.compile(r"(?<=<!-- figures: make docs -->\n).*?(?=<!-- end of figures -->)", re.S)

PEER_NAMES = {
    "notebook_keras": "notebook: librosa + Keras `predict`",
    "notebook_litert": "notebook: librosa + LiteRT, one at a time",
    "quix_streams": "Quix Streams, our features and network",
    "opensmile_egemaps": "openSMILE, eGeMAPS descriptors alone",
    "librosa_features": "librosa, features alone",
}
# Of the result: what it is called, how it is written, and what it is to reach.
_GOALS = {
    "streams_per_core": ("streams a core, continuous speech, exactly once, through Kafka", "{:,.0f}", ">= 2,500"),
    "streams_per_core_call": ("the same on a two-sided call", "{:,.0f}", ">= 4,000"),
    "latency_light_ms": (
        "chunk to event, p50 / p99, at 10% of a core, 3 s after all calls have begun",
        "{p50:.0f} / {p99:.0f} ms",
        "40 / 120",
    ),
    "latency_ms": ("the same at 70%", "{p50:.0f} / {p99:.0f} ms", "60 / 250"),
    "bytes_per_stream": ("memory for each open stream", "{:,.0f} B", "<= 8,000"),
    "changelog_bytes_per_stream_s": ("state written for each stream and second", "{:,.0f} B", "<= 1,000"),
    "start_s": ("`undertone worker` to its first event, broker warm", "{:.1f} s", "<= 2"),
    "catch_up": ("a backlog of ten minutes of 100 calls, times real time on one core", "{:.0f}", ">= 20"),
}


def _written(found: dict[str, Any], name: str) -> str:
    form = _GOALS[name][1]
    return form.format(**found[name]) if isinstance(found[name], dict) else form.format(found[name])


def goals(found: dict[str, Any]) -> Table:
    """The figures beside what they are to reach."""
    table = Table("", "measured", "goal")
    for name, (title, _, goal) in _GOALS.items():
        table.add_row(title, _written(found, name), goal)
    scaling = " / ".join(f"{ratio:.2f}" for ratio in found["scaling"].values())
    table.add_row(f"{'/'.join(found['scaling'])} workers: CPU per chunk beside one's", scaling, "0.90 to 1.10")
    sent = found["details"]["producer"]
    table.add_row("calls in real time for one producer", f"{sent['calls_per_core']:,} a core", ">= 3,000")
    return table


def peers(found: dict[str, Any]) -> Table:
    """Who else hears how many streams with one core."""
    table = Table("", "streams a core", "Undertone is so many times that")
    table.add_row("Undertone, exactly once", f"{found['streams_per_core']:,}", "1")
    for name, streams, times in _peers(found):
        table.add_row(name, streams, times)
    return table


def _peers(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    ours = found["streams_per_core"]
    ranked = sorted(found["peers"].items(), key=lambda item: -item[1]["streams_per_core"])
    return [
        (PEER_NAMES[name], f"{one['streams_per_core']:,.0f}", f"{ours / one['streams_per_core']:,.0f}")
        for name, one in ranked
    ]


def markdown(found: dict[str, Any]) -> str:
    """The README's tables."""
    load, machine = found["machine"]["load"], found["machine"]
    lines = ["", "| | streams a core | Undertone is so many times that |", "|---|---|---|"]
    lines += [f"| **Undertone**, exactly once | **{found['streams_per_core']:,}** | |"]
    lines += [f"| {name} | {streams} | {times} |" for name, streams, times in _peers(found)]
    others = max(0.0, load["cores_busy_with_others"])
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {title} | {_written(found, name)} |" for name, (title, _, _) in _GOALS.items()]
    lines += [
        "",
        f"A run of {load['minutes']:.0f} minutes on {machine['date']}; {machine['cores']} cores of {machine['cpu']},",
        f"of which others took {others:.1f}: the more, the longer are the times in ms and s.",
        "",
    ]
    if note := found["details"].get("note"):
        lines[-1:] = ["", note, ""]
    return "\n".join(lines)


def plot(found: dict[str, Any], folder: Path) -> None:
    """The curves, a file for each."""
    import matplotlib as mpl  # noqa: PLC0415  only this function draws

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    curves = found["curves"]
    by_chunk = {ms: one["us_per_chunk"] for ms, one in curves["us_by_chunk_ms"].items()}
    per_second = {ms: cost * 1000 / float(ms) for ms, cost in by_chunk.items()}
    drawn: list[tuple[str, str, str, dict[str, dict[str, float]]]] = [
        ("chunk-length", "length of a chunk, ms", "us of CPU per second of audio, with Kafka", {"": per_second}),
        ("streams", "open streams", "us of CPU per chunk of 500 ms, engine alone", {"": curves["us_by_streams"]}),
        (
            "latency",
            "load, share of a core",
            "chunk written to event readable, ms",
            {
                share: {load: one[share] for load, one in curves["latency_ms_by_load"].items()}
                for share in ("p50", "p99")
            },
        ),
    ]
    for name, across, up, series in drawn:
        figure, axes = plt.subplots(figsize=(7, 4))
        for label, values in series.items():
            axes.plot([float(x) for x in values], list(values.values()), marker="o", label=label)
        axes.set(xlabel=across, ylabel=up, ylim=(0, None))
        if name == "streams":
            axes.set_xscale("log")
        if len(series) > 1:
            axes.legend()
        figure.tight_layout()
        figure.savefig(folder / f"{name}.png", dpi=110)
        plt.close(figure)


def with_figures(text: str, found: dict[str, Any]) -> str:
    """The README with these figures in place of those that it has."""
    return _MARKED.sub(lambda _: markdown(found), text)


def main() -> None:
    """Rewrite the README."""
    README.write_text(with_figures(README.read_text(), json.loads(RESULT.read_text())))


if __name__ == "__main__":
    main()

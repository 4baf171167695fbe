"""What the demo ends with: a table of the streams, how soon events came, and what each worker did."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from rich.text import Text

from undertone.analysis.colours import colour_of
from undertone.console.live import count_line, delay_line
from undertone.console.processes import Child
from undertone.console.rows import probability_bar
from undertone.console.streams import Board, StreamView


def summarise(board: Board, console: Console) -> None:
    """Print the streams with their labels, and the delays."""
    table = Table(title="What was heard", title_justify="left", title_style="bold", header_style="dim", box=None)
    for name, justify in {
        "stream": "left",
        "audio": "right",
        "updates": "right",
        "utterances": "left",
        "all in all": "left",
        "probability": "left",
    }.items():
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for view in board.streams.values():
        table.add_row(*_cells(view, board))
    console.print()
    console.print(table)
    console.print()
    console.print(f"{len(board.streams)} streams, {count_line(board)}", highlight=False)
    console.print(delay_line(board.delays()), highlight=False)


def report_worker(worker: Child, url: str, keep: Path, console: Console) -> None:
    """Print what a worker counted, and keep its metrics in the file `keep`: it is about to be stopped."""
    try:
        with urlopen(url, timeout=5) as answer:  # noqa: S310  our own worker, on 127.0.0.1
            text = answer.read().decode()
    except (URLError, OSError) as error:
        console.print(f"{worker.name}: no metrics at {url} ({error})", highlight=False)
        return
    keep.write_text(text)
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            counted[sample.name] += int(sample.value)
    console.print(
        f"{worker.name}: {counted['undertone_chunks_total']} chunks, {counted['undertone_events_total']} events,"
        f" {counted['undertone_transactions_total']} transactions",
        highlight=False,
    )


def _cells(view: StreamView, board: Board) -> Sequence[Text | str]:
    audio = f"{view.audio_s:.1f} s"
    if view.summary is None:
        return view.name, audio, "", Text("not analysed", style="dim"), "", ""
    said = Counter(segment.label for segment in view.segments)
    utterances = Text(", ").join(
        Text(f"{label} {count}", style=colour_of(label, board.labels)) for label, count in said.most_common()
    )
    colour = colour_of(view.summary.label, board.labels)
    label = Text(view.summary.label, style=f"bold {colour}")
    return view.name, audio, str(view.updates), utterances, label, probability_bar(view.summary, colour)

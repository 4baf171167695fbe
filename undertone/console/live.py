"""The live view: a timeline per stream, drawn with rich from what `undertone.console.streams` knows."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from schemas.audio import Role
from schemas.events import NO_SPEECH, UNCERTAIN, Segment, Update
from undertone.analysis.colours import colour_of
from undertone.console.rows import arousal, probability_bar, stream_time
from undertone.console.streams import CELL_S, LATEST, Board, StreamView, percentile

_HEIGHTS = "▁▂▃▄▅▆▇█"
# Quiet speech on a telephone and a shout: the lowest and the highest bar.
_QUIET_DBFS, _LOUD_DBFS = -48.0, -12.0
# A terminal narrower than this keeps the timeline and gives up the numbers behind it.
_WIDE = 120
_PLURALS = {"update": "updates", "segment": "segments", "summary": "summaries"}


def draw(board: Board, title: str, width: int) -> RenderableType:
    """The whole view for a terminal of `width` columns."""
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim", pad_edge=True)
    table.add_column("stream", no_wrap=True, max_width=28)
    table.add_column(f"timeline, {CELL_S:g} s a mark", no_wrap=True, ratio=1)
    table.add_column("now", no_wrap=True, min_width=12)
    table.add_column("probability", no_wrap=True, min_width=15)
    if width >= _WIDE:
        table.add_column("group", no_wrap=True, min_width=9)
        table.add_column("arousal", no_wrap=True, justify="right")
        table.add_column("level", no_wrap=True, justify="right", min_width=8)
        table.add_column("updates", justify="right")
        table.add_column("segments", justify="right")
    for view in board.streams.values():
        table.add_row(*_columns(view, board.labels)[: len(table.columns)])
    return Group(Rule(Text(title, style="bold"), align="left", style="dim"), Text(), table, Text(), _foot(board))


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Takes whatever width the table has left."""

    view: StreamView
    labels: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield timeline(self.view, self.labels, options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(10, options.max_width)


def timeline(view: StreamView, labels: Sequence[str], width: int) -> Text:
    """The last `width` half seconds: a bar as high as the speech is loud, in the colour of its label."""
    end = max(int(view.audio_s / CELL_S), max(view.cells, default=-1) + 1)
    silence = "·" if view.last or view.role is Role.CUSTOMER else "─"
    text = Text(no_wrap=True)
    for index in range(max(0, end - width), end):
        cell = view.cells.get(index)
        if cell is None:
            text.append(silence, style="bright_black")
        else:
            text.append(_height(cell.level_dbfs), style=colour_of(cell.label, labels))
    return text


def legend(labels: Sequence[str]) -> Columns:
    """Which colour is which label."""
    entries = [Text.assemble(("█", colour_of(label, labels)), f" {label}") for label in (*labels, UNCERTAIN)]
    return Columns([*entries, Text("· silence", style="bright_black")], padding=(0, 2))


def _columns(view: StreamView, labels: Sequence[str]) -> tuple[RenderableType, ...]:
    name = Text(view.name, style="bold" if view.speaking else "dim" if view.ended else "")
    line = _Timeline(view, labels)
    event = view.last
    if event is None:
        note = "not analysed" if view.role is Role.AGENT else ""
        return name, line, Text(note, style="dim"), "", "", "", "", "", ""
    colour = colour_of(event.label, labels)
    # Between two utterances the last one's label stays, dimmed; the summary's is the stream's own.
    label = Text("silence" if event.label == NO_SPEECH else event.label, style=f"bold {colour}")
    if isinstance(event, Segment):
        label.stylize("dim")
    level = f"{event.level_dbfs:.0f} dBFS" if isinstance(event, Update) and event.level_dbfs is not None else ""
    numbers = event.group or "", arousal(event), level, str(view.updates), str(len(view.segments))
    return name, line, label, probability_bar(event, colour), *numbers


def _foot(board: Board) -> RenderableType:
    facts = Text(f"{count_line(board)}\n{delay_line(board.delays())}")
    return Padding(Group(legend(board.labels), Text(), _latest(board), Text(), facts), (0, 1))


def count_line(board: Board) -> str:
    """How much audio there was, and how many events of each kind came of it."""
    counts = [(board.events[kind], kind, plural) for kind, plural in _PLURALS.items()]
    named = (f"{count} {kind if count == 1 else plural}" for count, kind, plural in counts)
    return ", ".join((f"{board.audio_s:.0f} s of audio", *named))


def delay_line(delays: list[float]) -> str:
    """How soon updates came; empty where none did."""
    middle, slow = percentile(delays, 50), percentile(delays, 95)
    if middle is None or slow is None:
        return ""
    return f"from a chunk on Kafka to its update here: {middle * 1000:.0f} ms median, {slow * 1000:.0f} ms p95"


def _latest(board: Board) -> RenderableType:
    """The newest utterances, newest first; always as many lines, so that the view does not jump."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("latest utterances", "from", "to", "label", "probability"):
        table.add_column(name, no_wrap=True)
    for name, said in board.latest:
        colour = colour_of(said.label, board.labels)
        places = (said.start_sample, said.end_sample)
        times = [Text(stream_time(sample, said.sample_rate), style="dim") for sample in places]
        table.add_row(Text(name), *times, Text(said.label, style=f"bold {colour}"), probability_bar(said, colour))
    for _ in range(LATEST - len(board.latest)):
        table.add_row()
    return table


def _height(level_dbfs: float | None) -> str:
    if level_dbfs is None:
        return _HEIGHTS[0]
    share = (level_dbfs - _QUIET_DBFS) / (_LOUD_DBFS - _QUIET_DBFS)
    return _HEIGHTS[round(min(max(share, 0.0), 1.0) * (len(_HEIGHTS) - 1))]

"""Events, for a terminal: JSON lines as `undertone tail` prints them, or tables with a timeline."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.audio import AudioChunk, Role
from schemas.events import NO_SPEECH, UNCERTAIN, Segment, Summary, Update, event_line
from undertone.analysis.analyze import Call
from undertone.analysis.colours import colour_of

BAR_CELLS = 64


class JsonLines:
    """A sink: each event's data as one line, as soon as it is there."""

    def __init__(self, out: TextIO, errors: Console) -> None:
        self._out = out
        self._errors = errors

    def begin(self, call: Call) -> None:
        """Lines need no heading."""

    def add(self, chunks: Sequence[AudioChunk], events: Sequence[Update | Segment | Summary]) -> None:
        """Write the events."""
        for event in events:
            print(event_line(event), file=self._out, flush=True)

    def end(self) -> None:
        """Nothing is held back."""

    def skip(self, problem: str) -> None:
        """Complain where no reader of lines sees it."""
        complain(self._errors, problem)


class Tables:
    """A sink: after each recording a table of each stream's segments, its timeline and its summary."""

    def __init__(self, out: Console, errors: Console, labels: Sequence[str], *, analyze_agent: bool) -> None:
        self._out = out
        self._errors = errors
        self._labels = labels
        self._analyze_agent = analyze_agent
        self._events: dict[str, list[Segment | Summary]] = defaultdict(list)
        self._call: Call | None = None

    def begin(self, call: Call) -> None:
        """A heading for the call."""
        self._call = call
        self._out.rule(Text(call.name, style="bold"), align="left")

    def add(self, chunks: Sequence[AudioChunk], events: Sequence[Update | Segment | Summary]) -> None:
        """Keep what the tables show; updates are for live views."""
        for event in events:
            if not isinstance(event, Update):
                self._events[event.channel].append(event)

    def end(self) -> None:
        """Print the call."""
        for voice in self._call.voices if self._call else ():
            if voice.role is Role.AGENT and not self._analyze_agent:
                self._out.print(f"{voice.channel}: agents are not analysed without --analyze-agent", style="dim")
            for event in self._events[voice.channel]:
                if isinstance(event, Summary):
                    segments = [one for one in self._events[voice.channel] if isinstance(one, Segment)]
                    self._print(event, segments)
        self._events.clear()

    def skip(self, problem: str) -> None:
        """Complain on standard error."""
        complain(self._errors, problem)

    def _print(self, summary: Summary, segments: Sequence[Segment]) -> None:
        table = Table(title=f"{summary.call_id}/{summary.channel}", title_justify="left", box=SIMPLE_HEAD)
        for name in ("from", "to", "speech s", "emotion", "p", "next", "dBFS", "Hz"):
            table.add_column(name, justify="left" if name in ("emotion", "next") else "right", no_wrap=True)
        for segment in segments:
            table.add_row(*self._cells(segment))
        table.add_section()
        table.add_row(*self._cells(summary), style="bold")
        self._out.print(table)
        self._out.print(timeline(summary, segments, self._labels))
        self._out.print(self._legend({segment.label for segment in segments}))

    def _cells(self, event: Segment | Summary) -> list[Text | str]:
        ranked = sorted(event.probabilities.items(), key=lambda item: -item[1])
        return [
            clock(event.start_sample / event.sample_rate),
            clock(event.end_sample / event.sample_rate),
            f"{event.speech_s:.2f}",
            Text(event.label, style=colour_of(event.label, self._labels)),
            f"{ranked[0][1]:.2f}" if ranked else "",
            f"{ranked[1][0]} {ranked[1][1]:.2f}" if len(ranked) > 1 else "",
            "" if event.level_dbfs is None else f"{event.level_dbfs:.1f}",
            "" if event.pitch_hz is None else f"{event.pitch_hz:.0f}",
        ]

    def _legend(self, found: set[str]) -> Text:
        shown = [label for label in (*self._labels, UNCERTAIN) if label in found]
        return Text("  ").join(Text(f"█ {label}", style=colour_of(label, self._labels)) for label in shown)


def timeline(summary: Summary, segments: Sequence[Segment], labels: Sequence[str], cells: int = BAR_CELLS) -> Text:
    """The stream from its start to its end in `cells` cells, each in its longest label's colour."""
    length = max(1, summary.end_sample)
    lasting: list[dict[str, float]] = [defaultdict(float) for _ in range(cells)]
    for segment in segments:
        first, last = segment.start_sample * cells / length, segment.end_sample * cells / length
        for cell in range(int(first), min(cells, int(last) + 1)):
            lasting[cell][segment.label] += max(0.0, min(last, cell + 1) - max(first, cell))
    bar = Text("0:00 ", style="dim")
    for times in lasting:
        label = max(times, key=times.__getitem__) if times else NO_SPEECH
        bar.append("█" if times else "·", style=colour_of(label, labels))
    return bar.append(f" {clock(length / summary.sample_rate)}", style="dim")


def complain(console: Console, problem: str) -> None:
    """One red line."""
    console.print(f"left out: {problem}", style="red", highlight=False, markup=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, with hours where there are any: 0:07.25, 1:00:07.25."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{int(hours)}:{int(minutes):02}:{rest:05.2f}" if hours else f"{int(minutes)}:{rest:05.2f}"

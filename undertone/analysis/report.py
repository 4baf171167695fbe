"""The report: one HTML page that needs nothing else, with the sound and the events of each stream."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs
from rich.console import Console

from schemas.audio import AudioChunk, Role
from schemas.card import ModelCard
from schemas.errors import UserError
from schemas.events import Segment, Summary, Update
from undertone.acoustics.codecs import decode
from undertone.analysis.analyze import Call
from undertone.analysis.colours import colour_of
from undertone.analysis.figures import stream_figure
from undertone.analysis.output import clock, complain
from undertone.analysis.timeline import Timeline
from undertone.analysis.traces import Traces

# A stream's figure takes up to half a megabyte; with more of them a browser gets slow.
MAX_STREAMS = 100
MAX_ROWS = 300


@dataclass
class _Stream:
    """What is known of one stream so far, and in the end what its section shows."""

    call: Call
    channel: str
    role: Role
    traces: Traces
    timeline: Timeline
    analysed: bool
    summary: Summary | None = None


class Report:
    """A sink that becomes a page: `page()` once everything has been added."""

    def __init__(self, card: ModelCard, errors: Console, *, analyze_agent: bool) -> None:
        self._card = card
        self._errors = errors
        self._analyze_agent = analyze_agent
        self._open: dict[str, _Stream] = {}
        self._sections: list[dict[str, Any]] = []
        self._problems: list[str] = []

    def begin(self, call: Call) -> None:
        """Make room for the call's streams.

        Raises:
            UserError: more streams than a page can show.
        """
        if len(self._sections) + len(call.voices) > MAX_STREAMS:
            raise UserError(f"a page shows at most {MAX_STREAMS} streams; take fewer files, or --format jsonl")
        self._open = {
            voice.channel: _Stream(
                call,
                voice.channel,
                voice.role,
                Traces(call.rate),
                Timeline(self._card.labels),
                analysed=self._analyze_agent or voice.role is not Role.AGENT,
            )
            for voice in call.voices
        }

    def add(self, chunks: Sequence[AudioChunk], events: Sequence[Update | Segment | Summary]) -> None:
        """Draw the sound, and follow the events."""
        for chunk in chunks:
            self._open[chunk.channel].traces.add(decode(chunk.audio, chunk.encoding))
        for event in events:
            if isinstance(event, Summary):
                self._open[event.channel].summary = event
            else:
                self._open[event.channel].timeline.add(event)

    def end(self) -> None:
        """The call's streams become sections of the page."""
        self._sections += [self._section(stream) for stream in self._open.values()]
        self._open = {}

    def skip(self, problem: str) -> None:
        """Complain now, and on the page."""
        complain(self._errors, problem)
        self._problems.append(problem)

    def page(self) -> str:
        """The page. The same recordings and model give the same bytes."""
        return _template().render(
            sections=self._sections,
            problems=self._problems,
            card=self._card,
            colours={label: colour_of(label, self._card.labels) for label in self._card.labels},
            plotly=get_plotlyjs(),
        )

    def _section(self, stream: _Stream) -> dict[str, Any]:
        picture = stream.traces.finish()
        segments = stream.timeline.segments
        return {
            "call": stream.call,
            "channel": stream.channel,
            "role": stream.role.value,
            "analysed": stream.analysed,
            "length": clock(picture.seconds),
            "summary": stream.summary,
            "ranked": self._ranked(stream.summary),
            "rows": [self._row(segment) for segment in segments[:MAX_ROWS]],
            "more_rows": max(0, len(segments) - MAX_ROWS),
            "figure": _script_safe(stream_figure(picture, stream.timeline)),
        }

    def _row(self, segment: Segment) -> dict[str, Any]:
        return {
            "start": clock(segment.start_sample / segment.sample_rate),
            "end": clock(segment.end_sample / segment.sample_rate),
            "colour": colour_of(segment.label, self._card.labels),
            "segment": segment,
            "ranked": self._ranked(segment),
        }

    def _ranked(self, event: Segment | Summary | None) -> list[tuple[str, float, str]]:
        """(label, probability, colour), the most probable first."""
        ranked = sorted(event.probabilities.items(), key=lambda item: -item[1]) if event else []
        return [(label, probability, colour_of(label, self._card.labels)) for label, probability in ranked]


def _script_safe(figure: dict[str, Any]) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    return json.dumps(figure, separators=(",", ":")).replace("<", "\\u003c")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html")

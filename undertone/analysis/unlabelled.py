"""What the model makes of calls that nobody has labelled: ordinary ones ought to be mostly neutral.

Nothing is right or wrong here. The figures say what people would see: how the speech time divides among the labels,
how often an alarm would go off, and how restless the labels are.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.audio import MAX_CHUNK_SECONDS, AudioChunk, Encoding
from schemas.errors import UserError
from schemas.events import UNCERTAIN, Segment, Summary, Update
from undertone.acoustics.sources import find
from undertone.analysis import analyze
from undertone.analysis.alarms import ALARMS, Watch
from undertone.analysis.manifest import CALL_COLUMNS, Call, columns_of, read_calls, read_rows
from undertone.analysis.prediction import Band, hear
from undertone.inference.model import Model

_CHUNK_MS = 1000 * MAX_CHUNK_SECONDS
_OPTIONS = {
    Band.CLEAN: analyze.AnalyzeOptions(encoding=Encoding.L16LE, chunk_ms=_CHUNK_MS, analyze_agent=True),
    Band.TELEPHONE: analyze.AnalyzeOptions(encoding=Encoding.PCMU, rate=8000, chunk_ms=_CHUNK_MS, analyze_agent=True),
}


@dataclass
class Heard:
    """Counts over any number of streams.

    speech_s: by label, of utterances that have ended. flips: labels that differ from the one before, in the updates
    and segments of a stream. seconds: of the streams, silence and all.
    """

    streams: int = 0
    seconds: float = 0.0
    speech_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    alarms: Counter[str] = field(default_factory=Counter)
    flips: int = 0

    def figures(self, labels: Sequence[str]) -> dict[str, Any]:
        """What the counts come to; a share of no speech is None."""
        speech_s = sum(self.speech_s.values())
        return {
            "streams": self.streams,
            "hours": self.seconds / 3600,
            "speech_s": speech_s,
            "share": {label: self.speech_s.get(label, 0.0) / speech_s if speech_s else None for label in labels},
            "false_alarms_per_hour": {
                alarm: self.alarms[alarm] * 3600 / self.seconds if self.seconds else None for alarm in ALARMS
            },
            "label_flips_per_minute": self.flips * 60 / speech_s if speech_s else None,
        }


@dataclass(frozen=True, slots=True)
class Unlabelled:
    """The result: figures of everything, by role, and by stream, as `Heard.figures` gives them."""

    calls: int
    streams: int
    hours: float
    speech_s: float
    share: dict[str, float | None]
    false_alarms_per_hour: dict[str, float | None]
    label_flips_per_minute: float | None
    by_role: dict[str, dict[str, Any]]
    by_stream: dict[str, dict[str, Any]]
    band: str
    model_version: str
    class_prior: dict[str, float]
    unreadable: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return asdict(self)


def evaluate_unlabelled(source: Path, model: Model, band: Band = Band.CLEAN) -> Unlabelled:
    """Hear calls as workers hear them, agents too.

    Args:
        source: a recording, whose channels are its speakers, a folder of them, or a manifest: of such recordings
            (column path), or with the columns call and order of several files that are what one speaker says.

    Raises:
        UserError: the source is unusable, or none of its recordings could be read.
    """
    tally = Tally()
    if calls := _calls_of_parts(source):
        for part, event in hear([[row.path for row in call.rows] for call in calls], model, band):
            tally.count(calls[part.number].name, event)
            if isinstance(event, Summary):
                tally.unreadable |= {str(part.files[number]): str(error) for number, error in part.unreadable.items()}
    else:
        analyze.analyze(_recordings(source), model, _OPTIONS[band], tally)
    if not tally.streams:
        raise UserError(f"{source}: none of its recordings could be read: {min(tally.unreadable.values())}")
    labels = [*model.card.labels, UNCERTAIN]
    by_role = {role: heard.figures(labels) for role, heard in sorted(tally.roles.items())}
    by_stream = {name: heard.figures(labels) for name, heard in sorted(tally.streams.items())}
    return Unlabelled(
        calls=len(tally.calls),
        **tally.all.figures(labels),
        by_role=by_role,
        by_stream=by_stream,
        band=band.value,
        model_version=model.card.version,
        class_prior=model.class_prior,
        unreadable=tally.unreadable,
    )


def _calls_of_parts(source: Path) -> list[Call]:
    """The calls of a manifest that puts them together from several files; else none."""
    if source.suffix.lower() != ".csv" or not columns_of(source) >= set(CALL_COLUMNS):
        return []
    calls = read_calls(source, labelled=False)
    return calls if any(len(call.rows) > 1 for call in calls) else []


def _recordings(source: Path) -> list[str]:
    if source.suffix.lower() == ".csv":
        return [str(source.parent / fields["path"]) for _, fields in read_rows(source, ("path",))]
    return find([str(source)])


class Tally:
    """Counts events, and takes them from `analyze` as a sink."""

    def __init__(self) -> None:
        self.all = Heard()
        self.roles: dict[str, Heard] = defaultdict(Heard)
        self.streams: dict[str, Heard] = defaultdict(Heard)
        self.calls: set[str] = set()
        self.unreadable: dict[str, str] = {}
        self._label: dict[str, str] = {}  # by stream, the last one
        self._watch = Watch()

    def begin(self, call: analyze.Call) -> None:
        """A recording begins; its events name it."""

    def add(self, chunks: Sequence[AudioChunk], events: Sequence[Update | Segment | Summary]) -> None:
        """The events up to a piece's end."""
        for event in events:
            self.count(event.call_id, event)

    def end(self) -> None:
        """The recording has ended; its summaries have been counted."""

    def skip(self, problem: str) -> None:
        """A recording could not be read, or not to its end."""
        self.unreadable[problem.split(": ", maxsplit=1)[0]] = problem

    def count(self, call: str, event: Update | Segment | Summary) -> None:
        """Count one event of a call."""
        stream = f"{call}/{event.channel}"
        counts = (self.all, self.roles[event.role.value], self.streams[stream])
        if isinstance(event, Summary):
            self.calls.add(call)
            for heard in counts:
                heard.streams += 1
                heard.seconds += (event.end_sample - event.start_sample) / event.sample_rate
            return
        before = self._label.get(stream)
        self._label[stream] = event.label
        alarms = self._watch.take(stream, event)
        for heard in counts:
            if isinstance(event, Segment):
                heard.speech_s[event.label] += event.speech_s
            heard.flips += before not in (None, event.label)
            heard.alarms.update(alarms)

"""What a watcher knows of each stream: where its audio stands, its events, and how soon they came."""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import quantiles

from schemas.audio import AudioChunk, Role
from schemas.events import Segment, Summary, Update
from undertone.console.rows import Event

# A cell of the timeline; updates come as often.
CELL_S = 0.5
# Utterances that are remembered across all streams.
LATEST = 5


@dataclass(slots=True)
class Cell:
    """Half a second of a timeline: the label that holds there, and how loud the speech is."""

    label: str
    level_dbfs: float | None


@dataclass(slots=True)
class StreamView:
    """One stream. `audio_s` is how much of its audio is on Kafka."""

    name: str
    role: Role
    audio_s: float = 0.0
    ended: bool = False
    last: Event | None = None
    updates: int = 0
    cells: dict[int, Cell] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    summary: Summary | None = None

    @property
    def speaking(self) -> bool:
        """Whether an utterance is open."""
        return isinstance(self.last, Update)

    def add(self, event: Event) -> None:
        """Add an event to the timeline. A segment's final label replaces what its updates said."""
        self.last = event
        self.updates += isinstance(event, Update)
        if isinstance(event, Summary):
            self.summary = event
            return
        first = _cell(event.start_sample, event)
        last = _cell(max(event.start_sample, event.end_sample - 1), event)
        if isinstance(event, Segment):
            self.segments.append(event)
        for index in range(first, last + 1):
            known = self.cells.get(index)
            if isinstance(event, Segment) and known:
                known.label = event.label
            elif isinstance(event, Segment) or known is None or index == last:
                self.cells[index] = Cell(event.label, event.level_dbfs)


class Board:
    """All streams that were seen, in the order in which they began."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamView] = {}
        self.events: Counter[str] = Counter()
        self.labels: tuple[str, ...] = ()
        self.latest: deque[tuple[str, Segment]] = deque(maxlen=LATEST)
        self._appended_ms: dict[tuple[int, int], int] = {}
        self._updates: list[tuple[int, int, float]] = []

    def add_audio(self, chunk: AudioChunk) -> None:
        """A chunk of audio is on Kafka."""
        view = self._view(chunk.stream, chunk.role)
        view.audio_s = (chunk.first_sample + chunk.samples) / chunk.sample_rate
        view.ended = view.ended or chunk.end_of_stream
        if chunk.place:
            self._appended_ms[chunk.place.partition, chunk.place.offset] = chunk.place.timestamp_ms

    def add_event(self, event: Event, arrived_s: float) -> None:
        """An event has reached us at `arrived_s`, seconds since the epoch."""
        self.events[event.type] += 1
        self.labels = tuple(event.probabilities) or self.labels
        view = self._view(f"{event.call_id}/{event.channel}", event.role)
        view.add(event)
        if isinstance(event, Segment):
            self.latest.appendleft((view.name, event))
        # A segment ends after 0.6 s of silence and a summary with the stream: only an update's delay is all ours.
        if isinstance(event, Update) and event.audio:
            self._updates.append((event.audio.partition, event.audio.last_offset, arrived_s))

    def delays(self) -> list[float]:
        """Seconds from an update's last chunk lying on Kafka to the update being here, sorted."""
        # The two topics are fetched side by side: an event may be here before our own copy of its audio.
        found = ((arrived, self._appended_ms.get((part, offset))) for part, offset, arrived in self._updates)
        return sorted(max(0.0, arrived - ms / 1000) for arrived, ms in found if ms is not None)

    @property
    def audio_s(self) -> float:
        """Seconds of audio over all streams."""
        return sum(view.audio_s for view in self.streams.values())

    def _view(self, name: str, role: Role) -> StreamView:
        return self.streams.setdefault(name, StreamView(name, role))


def percentile(values: list[float], percent: int) -> float | None:
    """A percentile of sorted `values`; None where there are none."""
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _cell(sample: int, event: Event) -> int:
    return int(sample / event.sample_rate / CELL_S)

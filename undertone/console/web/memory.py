"""What the console remembers: segments and summaries in Kafka's order, and each stream's newest update.

Bounded by a number of events. A page that is opened gets what is shown of it, one that comes back what it missed.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile

from undertone.console.web.entries import Entry

# What a page that is opened gets of each stream: its two minutes and some more, in Kafka's time, and at least the last
# event. All that is remembered of 400 streams would be 27 MB.
_TIMELINE_MS = 150_000
# And at most so many: somebody who speaks without end.
_MOST = 60
# Streams without an event for so long are not shown to who comes.
_SHOWN_MS = 900_000


@dataclass(slots=True)
class _Stream:
    """The events of one stream that are remembered, and the update since the last of them."""

    kept: deque[Entry] = field(default_factory=deque)
    update: Entry | None = None

    @property
    def moment_ms(self) -> int:
        newest = self.update or (self.kept[-1] if self.kept else None)
        return newest.moment_ms if newest else 0


class Memory:
    """Not for several threads. `positions` is what will be read next, by partition."""

    def __init__(self, limit: int) -> None:
        self.positions: dict[int, int] = {}
        self._limit = limit
        self._log: deque[Entry] = deque()
        self._streams: dict[str, _Stream] = {}
        # From these positions on nothing but updates is missing.
        self._complete_from: dict[int, int] = {}
        self._newest_ms = 0

    def __len__(self) -> int:
        return len(self._log)

    def add(self, entries: Iterable[Entry], positions: Mapping[int, int]) -> None:
        """Events in Kafka's order, and where reading stands after them; a partition begins at its first."""
        for partition, position in positions.items():
            self._complete_from.setdefault(partition, position)
        for entry in entries:
            stream = self._streams.setdefault(entry.stream, _Stream())
            self._newest_ms = max(self._newest_ms, entry.moment_ms)
            if entry.update:
                stream.update = entry
                continue
            stream.update = None
            stream.kept.append(entry)
            self._log.append(entry)
        self.positions.update(positions)
        while len(self._log) > self._limit:
            self._forget(self._log.popleft())
        # An update alone holds no place in the log: streams that never got a segment are bounded here.
        if len(self._streams) > self._limit:
            newest = sorted(self._streams.items(), key=lambda one: -one[1].moment_ms)
            self._streams = dict(newest[: self._limit * 9 // 10])

    def since(self, positions: Mapping[int, int]) -> list[Entry] | None:
        """What a page that stood at `positions` has missed; None where some of it is no longer known."""
        if not positions.keys() <= self.positions.keys():
            return None
        # It knows nothing of a partition that the topic got since.
        stood = {**self._complete_from, **positions}
        if any(not self._complete_from[part] <= at <= self.positions[part] for part, at in stood.items()):
            return None
        updates = (stream.update for stream in self._streams.values() if stream.update)
        return [entry for entry in (*self._log, *updates) if entry.offset >= stood[entry.partition]]

    def shown(self) -> list[Entry]:
        """What a page that is opened is to show."""
        since_ms = self._newest_ms - _TIMELINE_MS
        return [entry for stream in self._recent() for entry in _newest(stream, since_ms)]

    def of_call(self, call_id: str) -> list[Entry]:
        """What is remembered of one call."""
        # A call id holds no slash.
        return [
            entry
            for name, stream in self._streams.items()
            if name.partition("/")[0] == call_id
            for entry in (*stream.kept, *([stream.update] if stream.update else []))
        ]

    def newest(self, count: int) -> list[Entry]:
        """The last segments and summaries, the newest first."""
        return list(islice(reversed(self._log), count))

    def forget(self, call_id: str) -> None:
        """Know nothing of a call any more."""
        self._log = deque(entry for entry in self._log if not entry.of_call(call_id))
        self._streams = {name: one for name, one in self._streams.items() if name.partition("/")[0] != call_id}

    def _recent(self) -> Iterator[_Stream]:
        return (one for one in self._streams.values() if one.moment_ms >= self._newest_ms - _SHOWN_MS)

    def _forget(self, entry: Entry) -> None:
        self._complete_from[entry.partition] = entry.offset + 1
        stream = self._streams.get(entry.stream)
        if stream is None:
            return
        if stream.kept and stream.kept[0] is entry:
            stream.kept.popleft()
        if not stream.kept and not stream.update:
            del self._streams[entry.stream]


def joined(older: Iterable[Entry], remembered: Iterable[Entry]) -> list[Entry]:
    """A call's events from its history and from the memory, each once."""
    newer = list(remembered)
    there = {(entry.partition, entry.offset) for entry in newer}
    return [*(entry for entry in older if (entry.partition, entry.offset) not in there), *newer]


def _newest(stream: _Stream, since_ms: int) -> Iterator[Entry]:
    newer = takewhile(lambda entry: entry.moment_ms >= since_ms, islice(reversed(stream.kept), _MOST))
    count = max(sum(1 for _ in newer), min(1, len(stream.kept)))
    yield from islice(stream.kept, len(stream.kept) - count, None)
    if stream.update:
        yield stream.update

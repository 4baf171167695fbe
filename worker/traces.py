"""The `traceparent` of chunks, for the events that end with them.

Nothing of it is in the state: an event's bytes are the same with it and without it, and a worker that takes over knows
those of the chunks that it hears itself, or hears again.
"""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.audio import AudioChunk
from schemas.events import STRUCTURED_HEADERS, WrittenEvent
from schemas.tracing import TRACEPARENT
from undertone.observability.spans import Spans

# The last chunks that had one: an utterance is told of a second after its last sound. 15 MB at most.
_REMEMBERED = 50_000

Headers = list[tuple[str, bytes]]


class _Trace(NamedTuple):
    parent: str
    topic: str
    heard_ms: int


class Traces:
    """Not for several threads. With `spans` each event of such a chunk becomes one."""

    def __init__(self, spans: Spans | None = None) -> None:
        self._spans = spans
        self._by_place: dict[tuple[int, int], _Trace] = {}

    def note(self, chunks: Iterable[AudioChunk]) -> None:
        """Chunks that are heard, for the first time or again."""
        for chunk in chunks:
            if chunk.traceparent and chunk.place:
                place = chunk.place
                self._by_place[place.partition, place.offset] = _Trace(
                    chunk.traceparent, place.topic, place.timestamp_ms
                )
        while len(self._by_place) > _REMEMBERED:
            del self._by_place[next(iter(self._by_place))]

    def headers(self, event: WrittenEvent) -> Headers:
        """What an event's record carries."""
        trace = self._of(event)
        if trace is None:
            return STRUCTURED_HEADERS
        return [*STRUCTURED_HEADERS, (TRACEPARENT, trace.parent.encode())]

    def written(self, events: Iterable[WrittenEvent]) -> None:
        """Events that Kafka has."""
        if self._spans is None or not self._by_place:
            return
        for event in events:
            if trace := self._of(event):
                self._spans.tell(f"{event.kind} event", trace.parent, trace.heard_ms, topic=trace.topic)

    def _of(self, event: WrittenEvent) -> _Trace | None:
        return self._by_place.get(event.last) if event.last else None

"""Streams that have ended: a marker of each, for a time, so that a chunk that comes late is known as such.

Finding the markers that are due costs what is due, not what there is: a heap per partition, oldest end first.
"""

import heapq

from undertone.inference.records import Ended

# In idle times after the end. A chunk that was delayed comes soon; a call that was put on hold, within the hour.
_LATE_CHUNKS, _IDLE_STREAMS = 2, 12


class EndedStreams:
    """Markers by stream, at most `limit`; where there are more, the oldest goes.

    What is added and what goes is noted in `dirty` (stream -> partition): it is to be saved.
    """

    def __init__(self, limit: int, idle_ms: int, dirty: dict[str, int]) -> None:
        self._limit = limit
        self._idle_ms = idle_ms
        self._dirty = dirty
        self._markers: dict[str, tuple[int, Ended]] = {}
        self._due: dict[int, list[tuple[int, str]]] = {}  # by partition: (event time to go at, stream); some are stale

    def __len__(self) -> int:
        return len(self._markers)

    def get(self, stream: str) -> Ended | None:
        """The stream's marker, or None."""
        return self._markers[stream][1] if stream in self._markers else None

    def add(self, stream: str, partition: int, ended: Ended) -> None:
        """Remember a stream that has ended now."""
        self.restore(stream, partition, ended)
        self._dirty[stream] = partition
        while len(self._markers) > self._limit:
            self._pop(min((due for due in self._due.values() if due), key=lambda due: due[0]))

    def restore(self, stream: str, partition: int, ended: Ended) -> None:
        """Remember a stream that has ended before."""
        self._markers[stream] = partition, ended
        heapq.heappush(self._due.setdefault(partition, []), (self._goes_at(ended), stream))

    def finish(self, stream: str, sequence: int) -> None:
        """A stream that was closed for being idle has ended for good, before `sequence`."""
        partition, ended = self._markers[stream]
        self.add(stream, partition, Ended(ended.start_us, sequence, ended.ended_ms))

    def forget(self, stream: str) -> None:
        """Forget a stream's marker, if there is one: it is open again, or another worker's now."""
        self._markers.pop(stream, None)

    def expire(self, partition: int, now_ms: int) -> None:
        """Forget the markers of a partition whose time has come."""
        due = self._due.get(partition, [])
        while due and due[0][0] < now_ms:
            self._pop(due)

    def drop(self, partition: int) -> None:
        """Forget a partition's markers: they are another worker's now."""
        for _, stream in self._due.pop(partition, []):
            if stream in self._markers and self._markers[stream][0] == partition:
                del self._markers[stream]

    def newest_ms(self, partition: int) -> int | None:
        """When the last of a partition's streams ended, in event time."""
        ended = (self._markers[stream] for _, stream in self._due.get(partition, []) if stream in self._markers)
        return max((marker.ended_ms for where, marker in ended if where == partition), default=None)

    def versions(self) -> set[str]:
        """The models whose sums idle streams go on with."""
        return {ended.idle.version for _, ended in self._markers.values() if ended.idle}

    def _pop(self, due: list[tuple[int, str]]) -> None:
        goes_at, stream = heapq.heappop(due)
        marker = self._markers.get(stream)
        # Its stream may have been opened again since, and even have ended once more.
        if marker and self._goes_at(marker[1]) == goes_at:
            del self._markers[stream]
            self._dirty[stream] = marker[0]

    def _goes_at(self, ended: Ended) -> int:
        return ended.ended_ms + self._idle_ms * (_IDLE_STREAMS if ended.idle else _LATE_CHUNKS)

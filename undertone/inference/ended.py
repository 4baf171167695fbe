"""Streams that have ended: a marker of each, for a time, so that a chunk that comes late is known as such.

Finding the markers that are due costs what is due, not what there is: a heap per partition, oldest end first.
"""

import heapq
from collections.abc import Callable

from undertone.inference.records import Ended, StreamKey

# In idle times after the end. A chunk that was delayed comes soon; a call that was put on hold, within the hour.
_LATE_CHUNKS, _IDLE_STREAMS = 2, 12


class EndedStreams:
    """Markers by partition and stream, at most `limit`; where there are more, the oldest goes.

    Of what is added and what goes `changed` is told: it is to be saved.
    """

    def __init__(self, limit: int, idle_ms: int, changed: Callable[[StreamKey], None]) -> None:
        self._limit = limit
        self._idle_ms = idle_ms
        self._changed = changed
        self._markers: dict[StreamKey, Ended] = {}
        self._due: dict[int, list[tuple[int, str]]] = {}  # by partition: (event time to go at, stream); some are stale

    def __len__(self) -> int:
        return len(self._markers)

    def get(self, key: StreamKey) -> Ended | None:
        """The stream's marker, or None."""
        return self._markers.get(key)

    def add(self, key: StreamKey, ended: Ended) -> None:
        """Remember a stream that has ended now."""
        self.restore(key, ended)
        self._changed(key)
        while len(self._markers) > self._limit:
            self._pop(min((partition for partition, due in self._due.items() if due), key=lambda it: self._due[it][0]))

    def restore(self, key: StreamKey, ended: Ended) -> None:
        """Remember a stream that has ended before."""
        partition, stream = key
        self._markers[key] = ended
        heapq.heappush(self._due.setdefault(partition, []), (self._goes_at(ended), stream))

    def finish(self, key: StreamKey, sequence: int) -> None:
        """A stream that was closed for being idle has ended for good, before `sequence`."""
        ended = self._markers[key]
        self.add(key, Ended(ended.start_us, sequence, ended.ended_ms))

    def forget(self, key: StreamKey) -> None:
        """Forget a stream's marker, if there is one: it is open again, or another worker's now."""
        self._markers.pop(key, None)

    def expire(self, partition: int, now_ms: int) -> None:
        """Forget the markers of a partition whose time has come."""
        due = self._due.get(partition, [])
        while due and due[0][0] < now_ms:
            self._pop(partition)

    def drop(self, partition: int) -> None:
        """Forget a partition's markers: they are another worker's now."""
        for _, stream in self._due.pop(partition, []):
            self._markers.pop((partition, stream), None)

    def newest_ms(self, partition: int) -> int | None:
        """When the last of a partition's streams ended, in event time."""
        markers = (self._markers.get((partition, stream)) for _, stream in self._due.get(partition, []))
        return max((marker.ended_ms for marker in markers if marker), default=None)

    def versions(self) -> set[str]:
        """The models whose sums idle streams go on with."""
        return {ended.idle.version for ended in self._markers.values() if ended.idle}

    def _pop(self, partition: int) -> None:
        goes_at, stream = heapq.heappop(self._due[partition])
        key = partition, stream
        marker = self._markers.get(key)
        # Its stream may have been opened again since, and even have ended once more.
        if marker and self._goes_at(marker) == goes_at:
            del self._markers[key]
            self._changed(key)

    def _goes_at(self, ended: Ended) -> int:
        return ended.ended_ms + self._idle_ms * (_IDLE_STREAMS if ended.idle else _LATE_CHUNKS)

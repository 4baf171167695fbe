"""Which streams are ahead of their state records, and from which chunk on each of them is.

A stream that has a record is brought to where it stood by hearing its chunks since that one again: those that the
record knows are repeats, by their sequence numbers. So a record may wait. What no chunk would bring back may not: that
a stream has begun, has ended, is forgotten.
"""

from collections.abc import Mapping

from schemas.audio import RecordPlace
from undertone.inference.records import NO_OFFSET, StreamKey, offset_of


class Unsaved:
    """Streams to be saved: those that are due, and by partition those that can wait, longest first."""

    def __init__(self) -> None:
        self._due: set[StreamKey] = set()
        self._since: dict[int, dict[str, RecordPlace | None]] = {}

    def save_now(self, key: StreamKey) -> None:
        """A stream's record must be in the next transaction."""
        self._due.add(key)

    def heard(self, key: StreamKey, place: RecordPlace | None) -> None:
        """A stream that has a record has heard the chunk at `place`.

        They come in the order of their offsets, but for those of a stream that is due: it is saved before that counts.
        """
        partition, stream = key
        self._since.setdefault(partition, {}).setdefault(stream, place)

    def since(self, partition: int) -> RecordPlace | None:
        """The oldest chunk of a partition that no record knows; None where there is none, or it has no place."""
        return next(iter(self._since.get(partition, {}).values()), None)

    def take(self, before: Mapping[int, int] | None) -> list[StreamKey]:
        """The streams to save, which count as saved from now on.

        All of them, or of the partitions in `before` those that are due or have waited since an offset before that.
        """
        keys = set(self._due) if before is None else {key for key in self._due if key[0] in before}
        for partition, waiting in self._since.items():
            for stream, place in waiting.items():
                if before is not None and offset_of(place) >= before.get(partition, NO_OFFSET):
                    break
                keys.add((partition, stream))
        for key in keys:
            self.forget(key)
        return sorted(keys)

    def forget(self, key: StreamKey) -> None:
        """There is nothing to be saved of a stream."""
        self._due.discard(key)
        self._since.get(key[0], {}).pop(key[1], None)

    def drop(self, partition: int) -> None:
        """Forget a partition's streams: they are another worker's now."""
        self._since.pop(partition, None)
        self._due = {key for key in self._due if key[0] != partition}

"""Finds the poison pill, the one message on which the engine fails, so that it costs itself and nothing else.

The engine is not meant to raise for any valid chunk: this is for its bugs. A failed batch is thrown away together with
the engine's state. Its records are read again, one a transaction, until one fails alone; that one becomes a dead
letter the next time.
"""

from collections.abc import Collection, Mapping

from kafka import TopicPartition

from schemas.audio import AudioChunk, RecordPlace
from schemas.dead_letters import Reason, Rejected


class EngineFailure(Exception):
    """The engine has raised on these chunks; its state is worth nothing any more."""

    def __init__(self, chunks: Collection[AudioChunk]) -> None:
        super().__init__(f"the engine failed on {len(chunks)} chunks")
        self.places = [chunk.place for chunk in chunks if chunk.place]


class PoisonPills:
    """Outlives the engine: remembers which records are suspects and which are to blame."""

    def __init__(self) -> None:
        self._suspects: set[tuple[int, int]] = set()
        self._blamed: dict[tuple[int, int], str] = {}

    def add(self, failure: EngineFailure) -> bool:
        """Note a failure. Returns whether going on makes sense: not where no record was in hand."""
        if not failure.places:
            return False
        if len(failure.places) == 1:
            (place,) = failure.places
            self._blamed[place.partition, place.offset] = repr(failure.__cause__)[:200]
            self._suspects.discard((place.partition, place.offset))
        else:
            self._suspects.update((place.partition, place.offset) for place in failure.places)
        return True

    def one_by_one(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether a batch of these partitions must be a single record, for suspects are to be read again."""
        suspected = {number for number, _ in self._suspects}
        return any(partition.partition in suspected for partition in partitions)

    def check(self, place: RecordPlace) -> None:
        """Refuse a record that is to blame.

        Raises:
            Rejected: with reason `processing_failed`.
        """
        error = self._blamed.get((place.partition, place.offset))
        if error is not None:
            raise Rejected(Reason.PROCESSING_FAILED, f"the engine failed on it: {error}")

    def passed(self, positions: Mapping[TopicPartition, int]) -> None:
        """All before these positions is committed, by this worker or by another: no suspects any more."""
        ends = {partition.partition: position for partition, position in positions.items()}
        self._suspects = {at for at in self._suspects if at[1] >= ends.get(at[0], 0)}
        self._blamed = {at: why for at, why in self._blamed.items() if at[1] >= ends.get(at[0], 0)}

"""What a worker hears again when it takes a partition over: the audio that its saved states do not hold.

States are saved every few seconds, so the changelog may stand behind the committed offset. From where the audio is to
be heard again is written beside that offset, as its metadata, in the same transaction.
"""

from collections.abc import Sequence, Set
from typing import Self

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata
from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.dead_letters import Reason
from undertone.inference.engine import Engine
from undertone.inference.routing import Route
from worker.batch import DeadLetters, decode
from worker.event_time import EventTime
from worker.poison_pill import EngineFailure, PoisonPills
from worker.traces import Traces


class ReplayFrom(BaseModel):
    """From where a partition's audio is heard again, up to the committed offset that this is the metadata of."""

    model_config = ConfigDict(frozen=True)

    offset: int
    """Of the oldest record that a stream has heard and its saved state does not hold."""
    time_ms: int
    """The partition's event time at this record."""
    model: str
    """The version that utterances took which began since then."""
    canary: str = ""
    """The version that they took in a share of the calls."""
    share: float = 0
    """That share."""

    @classmethod
    def of(cls, engine: Engine, partition: int) -> Self | None:
        """What is to be heard again of a partition whose changes have been taken; None where its states are up to it.

        The models are the same since the oldest: when they are switched all states are saved.
        """
        since = engine.unsaved_since(partition)
        if since is None:
            return None
        model, canary, share = engine.route
        found = cls(offset=since.offset, time_ms=since.timestamp_ms, model=model.card.version)
        return found.model_copy(update={"canary": canary.card.version, "share": share}) if canary else found

    def written(self) -> str:
        """As metadata."""
        return self.model_dump_json(exclude_defaults=True)

    @property
    def models(self) -> set[str]:
        """The versions that are needed to hear it again."""
        return {self.model, self.canary} - {""}

    def route(self, engine: Engine) -> Route:
        """The models of then; where one is gone from `models`, utterances of then are heard as new ones are."""
        model, canary = (engine.model_named(version) for version in (self.model, self.canary))
        if model is None or (self.canary and canary is None):
            return engine.route
        return Route(model, canary, self.share)

    @classmethod
    def read(cls, committed: OffsetAndMetadata) -> Self | None:
        """What a commit says; None where it says nothing, as those of other programs and of older workers."""
        try:
            return cls.model_validate_json(committed.metadata)
        except ValidationError:
            return None


class Replay:
    """One partition's replay: only streams with a saved state take part, any other had been forgotten by then."""

    def __init__(self, engine: Engine, begin: ReplayFrom, until: int, route: Route, streams: Set[str]) -> None:
        self.until = until
        self._engine = engine
        self._begin = begin
        self._route = route
        self._streams = streams

    def hear(
        self,
        partition: TopicPartition,
        records: Sequence[ConsumerRecord],
        poison_pills: PoisonPills,
        event_time: EventTime,
        traces: Traces,
    ) -> tuple[int, DeadLetters]:
        """Feed the engine what lies before `until`. Returns how many chunks it was, and what it failed on, if anything.

        What else is wrong with a record has been told when it was heard first.

        Raises:
            EngineFailure: the engine raised, which it did not the first time.
        """
        again = [record for record in records if record.offset < self.until]
        event_time.begin(partition, self._begin.time_ms)
        batch = decode({partition: again}, poison_pills, event_time)
        chunks = [chunk for chunk in batch.chunks if chunk.stream in self._streams]
        traces.note(chunks)
        try:
            self._engine.replay(chunks, *self._route)
        except Exception as error:
            raise EngineFailure(chunks) from error
        return len(chunks), [letter for letter in batch.rejected if letter[1].reason is Reason.PROCESSING_FAILED]

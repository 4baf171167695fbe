"""What an undisturbed run says: the engine alone, on the same samples, with the same change of models.

Which model hears an utterance depends on the moment of its publishing, so it is taken from the events: they name their
model. The rest follows from it. A model takes over at a segment's beginning, so the reference changes models right
after the block in which the older one's last utterance has begun; all that the events say must then come out the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from undertone.acoustics.frames import block_samples
from undertone.inference.engine import Engine, StateRecord
from undertone.inference.model import Model


class ModelsOutOfOrder(ValueError):
    """A stream's events name a model that it had left, or two within one utterance."""


@dataclass(frozen=True, slots=True)
class Change:
    """From sample `at` on, new utterances are heard with `version`."""

    at: int
    version: str


@dataclass
class Reference:
    """What the engine alone says of one stream, and what it would save."""

    events: list[EventEnvelope] = field(default_factory=list)
    state: StateRecord | None = None
    cuts: int = 0  # chunks that were cut in two, each of which puts the sequence number one ahead


def changes(events: Sequence[EventEnvelope], last_version: str | None = None) -> list[Change]:
    """When a stream's models changed, the first of them at sample 0.

    `last_version`: what a state record names, where the stream goes on and its events may lag behind.

    Raises:
        ModelsOutOfOrder: no order of models fits what the events say.
    """
    found: list[Change] = []
    begun: dict[int, str] = {}  # utterance by its first sample -> version
    for event in events:
        data = event.data
        if data.type != "summary" and begun.setdefault(data.start_sample, data.model_version) != data.model_version:
            raise ModelsOutOfOrder(f"{event.subject}: two models in the utterance at sample {data.start_sample}")
    rate = events[0].data.sample_rate if events else 8000
    block = block_samples(rate)
    versions = [begun[start] for start in sorted(begun)]
    # The summary, and a state record, name the model of the last utterance that began, one too short for an event too.
    versions += [event.data.model_version for event in events if event.data.type == "summary"]
    versions += [last_version] if last_version else []
    ends = [0, *((start // block + 1) * block for start in sorted(begun))]
    for index, version in enumerate(versions):
        if not found or version != found[-1].version:
            if version in {change.version for change in found}:
                raise ModelsOutOfOrder(f"{events[0].subject}: model {version} came back")
            found.append(Change(ends[min(index, len(ends) - 1)], version))
    return found


def listen(chunks: Sequence[AudioChunk], plan: Sequence[Change], models: Mapping[str, Model]) -> Reference:
    """Hear one stream alone, with the given changes of models."""
    engine = Engine(models[plan[0].version])
    said = Reference()
    for change in plan[1:]:
        size = len(chunks)
        before, chunks = _split(chunks, change.at)
        said.cuts += len(before) + len(chunks) - size
        said.events += engine.feed(before).events
        engine.switch_model(models[change.version])
    said.events += engine.feed(chunks).events
    saved = engine.take_changes()
    said.state = saved[0] if saved else None
    return said


def _split(chunks: Sequence[AudioChunk], at: int) -> tuple[list[AudioChunk], list[AudioChunk]]:
    """Chunks up to sample `at` and from it on; one that lies across is cut in two.

    Its second half has the next sequence number, and so have all that follow: to the engine they are a stream as good.
    """
    before = [chunk for chunk in chunks if chunk.first_sample + chunk.samples <= at and not chunk.end_of_stream]
    rest = list(chunks[len(before) :])
    if not rest or rest[0].first_sample >= at:
        return before, rest
    across, *rest = rest
    size = (at - across.first_sample) * across.encoding.sample_bytes
    left = across.model_copy(update={"audio": across.audio[:size], "end_of_stream": False})
    right = across.model_copy(
        update={"audio": across.audio[size:], "first_sample": at, "sequence": across.sequence + 1}
    )
    return [*before, left], [right, *(chunk.model_copy(update={"sequence": chunk.sequence + 1}) for chunk in rest)]

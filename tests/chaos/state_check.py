"""Whether the state that a worker would restore is the state that the audio makes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from kafka.consumer.fetcher import ConsumerRecord

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from tests.chaos.plan import first_chunks
from tests.chaos.reference import Reference, changes, listen
from tests.chaos.verdict import TOLERANCE
from undertone.inference.model import Model
from undertone.inference.records import Ended, OpenRecord, read_record

# Where in Kafka and when a chunk lies is not the engine's doing.
_NOT_OF_THE_AUDIO = {"stream_offset", "segment_offset", "held_offset", "last_offset", "seen_ms"}


def newest(records: Iterable[ConsumerRecord]) -> dict[str, bytes]:
    """The changelog's last word on each stream."""
    states: dict[str, bytes] = {}
    for record in records:
        if record.value is None:
            states.pop(record.key.decode(), None)
        else:
            states[record.key.decode()] = record.value
    return states


def differing_states(
    states: Mapping[str, bytes],
    streams: Mapping[str, list[AudioChunk]],
    events: Mapping[str, Sequence[EventEnvelope]],
    models: Mapping[str, Model],
) -> list[str]:
    """What is wrong with the states, a sentence each."""
    found = []
    for stream, value in sorted(states.items()):
        saved = read_record(value)
        said = events.get(stream, ())
        if isinstance(saved, Ended):
            plan = changes(said)
            before = len(streams[stream])
        else:
            plan = changes(said, saved.version)
            before = int(saved.row["sequence"])
        rebuilt = listen(first_chunks(streams[stream], before), plan, models)
        if wrong := _differences(saved, rebuilt):
            found.append(f"state of {stream} differs in {', '.join(wrong)}")
    return found


def _differences(saved: OpenRecord | Ended, rebuilt: Reference) -> list[str]:
    if rebuilt.state is None or rebuilt.state.value is None:
        return ["being there"]
    other = read_record(rebuilt.state.value)
    if isinstance(saved, Ended) or isinstance(other, Ended):
        if not (isinstance(saved, Ended) and isinstance(other, Ended)):
            return ["having ended"]
        same = (saved.start_us, saved.sequence) == (other.start_us, other.sequence - rebuilt.cuts)
        return [] if same else ["the end's place"]
    wrong = [name for name in saved.row.dtype.names or () if not _equal(name, saved.row, other.row, rebuilt.cuts)]
    wrong += ["version"] if saved.version != other.version else []
    for name in ("samples", "state", "logits", "totals"):
        mine, others = getattr(saved, name), getattr(other, name)
        if mine.shape != others.shape or not np.allclose(mine, others, rtol=0, atol=TOLERANCE):
            wrong.append(name)
    return wrong


def _equal(name: str, row: np.void, other: np.void, cuts: int) -> bool:
    if name in _NOT_OF_THE_AUDIO:
        return True
    if name == "sequence":
        return int(row[name]) == int(other[name]) - cuts
    if row[name].dtype.kind == "f":
        return bool(np.isclose(row[name], other[name], rtol=1e-9))
    return bool(row[name] == other[name])

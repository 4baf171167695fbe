"""An emotion event as the page gets it: its place in Kafka, and what is shown of it as a piece of JSON."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from schemas.events import EventEnvelope, Segment, Summary, Update

# What a browser hands back as Last-Event-ID: for each partition the offset that it has not seen yet.
_POSITIONS = re.compile(r"\d{1,6}:\d{1,19}(,\d{1,6}:\d{1,19})*")
_TOP = 3
# Less speech says little to a person either; the trainer takes a minute at most.
_LEAST_S, _MOST_S = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `data` is its JSON; `moment_ms` is Kafka's timestamp."""

    partition: int
    offset: int
    stream: str
    update: bool
    moment_ms: int
    data: str
    type: str = "update"
    emotions: tuple[str, ...] = ()
    """All that its model knows."""
    label: str = ""
    doubt: float | None = None
    """Of an utterance that can be labelled: 1 where two emotions are equally probable, 0 where one is certain."""

    def of_call(self, call_id: str) -> bool:
        """Whether it is of this call."""
        # A call id holds no slash.
        return self.stream.partition("/")[0] == call_id


def entry_of(record: ConsumerRecord) -> Entry | None:
    """The event in a record of `emotion-events`; None where there is none."""
    try:
        envelope = EventEnvelope.model_validate_json(record.value or b"")
    except ValidationError:
        return None
    event = envelope.data
    audio = event.audio
    top = sorted(event.probabilities.items(), key=lambda one: -one[1])[:_TOP]
    shown = {
        "type": event.type,
        "call": event.call_id,
        "channel": event.channel,
        "role": event.role,
        "start": round(event.start_sample / event.sample_rate, 3),
        "end": round(event.end_sample / event.sample_rate, 3),
        "at": round(envelope.time.timestamp() * 1000),
        "moment": record.timestamp,
        "label": event.label,
        "group": event.group,
        "top": [[name, round(probability, 3)] for name, probability in top],
        "speech": event.speech_s,
        "level": event.level_dbfs,
        "arousal": event.arousal,
        "valence": event.valence,
        "relative": event.relative.model_dump() if event.relative else None,
        "place": f"{record.partition}:{record.offset}",
        "rate": event.sample_rate,
        "audio": [audio.partition, audio.first_offset, audio.last_offset] if audio else None,
    }
    return Entry(
        record.partition,
        record.offset,
        f"{event.call_id}/{event.channel}",
        isinstance(event, Update),
        record.timestamp,
        json.dumps(shown, separators=(",", ":")),
        event.type,
        _emotions(tuple(event.probabilities)),
        sys.intern(event.label),
        _doubt(event),
    )


def _doubt(event: Update | Segment | Summary) -> float | None:
    seconds = (event.end_sample - event.start_sample) / event.sample_rate
    if event.type != "segment" or not event.audio or event.speech_s < _LEAST_S or seconds > _MOST_S:
        return None
    first, second, *_ = sorted((*event.probabilities.values(), 0.0, 0.0), reverse=True)
    return 1 - (first - second)


@lru_cache(maxsize=16)
def _emotions(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for all events of a model, in the order of the alphabet."""
    return tuple(sorted(names))


def positions_text(positions: Mapping[int, int]) -> str:
    """Positions as the id of a server-sent event."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))


def positions_of(text: str | None) -> dict[int, int] | None:
    """What `positions_text` wrote; None where it is anything else."""
    if not text or not _POSITIONS.fullmatch(text):
        return None
    pairs = (pair.split(":") for pair in text.split(","))
    return {int(partition): int(offset) for partition, offset in pairs}

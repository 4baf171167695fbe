"""An event as sinks keep it: checked once, here, so that no target can choke on it, and told in the same columns."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from pydantic import ValidationError

from schemas.dead_letters import Reason, Rejected
from schemas.events import EventEnvelope, Segment, Summary

# Names that an event gives: ids have 32 characters, labels and versions a dozen or two. Index entries of PostgreSQL
# hold 2,700 bytes.
_MAX_TEXT = 200
# 64 bits with a sign: what databases and Parquet files have for whole numbers; 32 for what counts partitions.
_MAX_INTEGER = 2**63 - 1
_MAX_SMALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A valid event and the record that brought it."""

    record: ConsumerRecord
    envelope: EventEnvelope

    @property
    def stream_started_at(self) -> datetime:
        """The moment of the stream's sample 0: to the microsecond what the worker has added the samples to."""
        return self._before_end(self.envelope.data.end_sample)

    @property
    def started_at(self) -> datetime:
        """The moment of the event's first sample."""
        return self._before_end(self.envelope.data.end_sample - self.envelope.data.start_sample)

    def _before_end(self, samples: int) -> datetime:
        return self.envelope.time - timedelta(seconds=samples / self.envelope.data.sample_rate)

    def columns(self) -> dict[str, Any]:
        """Column -> value, None where this kind of event has none. Tables and files name them alike."""
        event = self.envelope.data
        audio, relative = event.audio, event.relative
        return {
            "id": self.envelope.id,
            "type": event.type,
            "call_id": event.call_id,
            "channel": event.channel,
            "role": event.role.value,
            "stream_started_at": self.stream_started_at,
            "started_at": self.started_at,
            "ended_at": self.envelope.time,
            "start_sample": event.start_sample,
            "end_sample": event.end_sample,
            "sample_rate": event.sample_rate,
            "label": event.label,
            "probabilities": event.probabilities,
            "speech_s": event.speech_s,
            "level_dbfs": event.level_dbfs,
            "pitch_hz": event.pitch_hz,
            "emotion_group": event.group,  # a word that SQL keeps for itself
            "emotion_groups": event.groups,
            "arousal": event.arousal,
            "valence": event.valence,
            "relative_level": relative.level if relative else None,
            "relative_pitch": relative.pitch if relative else None,
            "relative_arousal": relative.arousal if relative else None,
            "model_version": event.model_version,
            "ended_by": event.ended_by if isinstance(event, Segment | Summary) else None,
            "segments": event.segments if isinstance(event, Summary) else None,
            "audio_topic": audio.topic if audio else None,
            "audio_partition": audio.partition if audio else None,
            "audio_first_offset": audio.first_offset if audio else None,
            "audio_last_offset": audio.last_offset if audio else None,
            "kafka_topic": self.record.topic,
            "kafka_partition": self.record.partition,
            "kafka_offset": self.record.offset,
        }


def stored_event(record: ConsumerRecord) -> StoredEvent:
    """The event in a record of `emotion-events`.

    Raises:
        Rejected: it holds none, or one that databases and files have no room for: no worker writes such.
    """
    try:
        event = StoredEvent(record, EventEnvelope.model_validate_json(record.value or b""))
        columns = event.columns()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Rejected(Reason.INVALID_EVENT, f"{where + ': ' if where else ''}{first['msg']}") from None
    except OverflowError as error:
        raise Rejected(Reason.INVALID_EVENT, f"time: {error}") from None
    data = event.envelope.data
    for name, value in chain(columns.items(), data.probabilities.items(), (data.groups or {}).items()):
        _check(name, value)
    return event


def _check(name: str, value: object) -> None:
    if "\0" in name or (isinstance(value, str) and ("\0" in value or len(value) > _MAX_TEXT)):
        raise Rejected(Reason.INVALID_EVENT, f"{name}: text with a NUL or of more than {_MAX_TEXT} characters")
    limit = _MAX_SMALL if name.endswith("partition") or name == "segments" else _MAX_INTEGER
    if isinstance(value, int) and abs(value) > limit:
        raise Rejected(Reason.INVALID_EVENT, f"{name}: larger than {limit}")
    if isinstance(value, float) and not math.isfinite(value):
        raise Rejected(Reason.INVALID_EVENT, f"{name}: {value}")

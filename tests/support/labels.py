"""Labels as people's tools send them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from schemas.audio import AudioChunk, RecordPlace
from schemas.events import EventEnvelope
from tests.support.voices import RATE

Send = Callable[..., list[Any]]


def placed(chunk: AudioChunk, metadata: Any) -> AudioChunk:
    """A chunk as a worker reads it."""
    place = RecordPlace(topic=metadata.topic, partition=metadata.partition, offset=metadata.offset)
    return chunk.model_copy(update={"place": place})


def label(emotion: str, by: str = "ann", call_id: str = "c1", **fields: object) -> tuple[str, bytes]:
    """Key and value of a label."""
    data = {"call_id": call_id, "channel": "customer", "emotion": emotion, "labelled_by": by} | fields
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "/test",
        "type": "undertone.emotion.label.v1",
        "subject": f"{call_id}/customer",
        "time": datetime.now(UTC).isoformat(),
        "data": data,
    }
    return f"{call_id}/customer", json.dumps(envelope).encode()


def stretch(segment: EventEnvelope, start: int, end: int) -> dict[str, Any]:
    """A label's fields for samples of a segment's stream, from `start` to before `end`."""
    assert segment.data.audio
    audio = segment.data.audio.model_dump()
    return {"start_sample": start, "end_sample": end, "sample_rate": RATE, "audio": audio}

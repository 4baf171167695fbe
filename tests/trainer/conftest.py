"""A call in Kafka that can be labelled, and a cache for a file's tests alone."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.labels import Send, placed
from tests.support.streams import cut
from tests.support.voices import RATE, utterance
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of features that begins empty and goes with the file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNDERTONE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def call() -> NDArray[np.int16]:
    """A call of one utterance, 16 kHz."""
    return np.concatenate([utterance("satisfied", 2, 0), np.zeros(RATE, np.int16)])


@pytest.fixture
def send(kafka_settings: KafkaSettings) -> Send:
    """Send records to a topic and wait until they are there; their metadata."""

    def to(topic: str, records: list[tuple[str, bytes]], headers: list[Any] | None = None) -> list[Any]:
        with closing(idempotent_producer(kafka_settings)) as producer:
            sent = [
                producer.send(
                    topic, key=key.encode(), value=value, headers=headers[k] if headers else None, partition=0
                )
                for k, (key, value) in enumerate(records)
            ]
            return [future.get(timeout=60) for future in sent]

    return to


@pytest.fixture
def segment(call: NDArray[np.int16], send: Send, topics: Topics) -> EventEnvelope:
    """The call in Kafka, another call between its chunks, and the segment that was heard in it."""
    chunks = cut(call, RATE, 4000, call_id="c1")
    other = cut(np.zeros(len(call), np.int16), RATE, 4000, call_id="c2")
    woven = [chunk for pair in zip(chunks, other, strict=True) for chunk in pair]
    places = send(topics.call_audio.name, [(c.stream, c.audio) for c in woven], [c.headers() for c in woven])
    heard = Engine(Model.load()).feed([placed(*pair) for pair in zip(woven, places, strict=True)])
    send(topics.emotion_events.name, [(e.subject, e.model_dump_json().encode()) for e in heard.events])
    return next(e for e in heard.events if e.data.type == "segment" and e.data.call_id == "c1")

"""People who label what is heard in a disturbed run, and what the trainer's dataset must hold in the end."""

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from kafka.producer.future import FutureRecordMetadata

from schemas.audio import AudioChunk
from schemas.events import EmotionEvent, EventEnvelope
from schemas.topics import Topics
from tests.support.gateway import heard
from tests.support.labels import label
from trainer.collection.dataset import Dataset, audio_path
from trainer.collection.entry import Entry, State
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

# Longer than any outage of a run.
_DELIVERY_MS = 300_000


class Labellers:
    """They label utterances that they have not labelled yet; `sent` holds whatever they labelled."""

    def __init__(self, settings: KafkaSettings, seed: int) -> None:
        self.sent: dict[str, EmotionEvent] = {}  # by the event's id
        self._settings = settings
        self._choose = random.Random(f"{seed} labellers")

    def label(self, events: Iterable[EventEnvelope], count: int) -> None:
        """Label up to `count` utterances of these; returns when Kafka has the labels."""
        new = {e.id: e.data for e in events if e.data.type == "segment" and e.id not in self.sent and e.data.audio}
        chosen = self._choose.sample(sorted(new), min(count, len(new)))
        with closing(idempotent_producer(self._settings, delivery_timeout_ms=_DELIVERY_MS)) as producer:
            topic = Topics(self._settings.topic_prefix).emotion_labels.name
            taken: list[FutureRecordMetadata] = []
            for name in chosen:
                key, value = self._label_of(name, new[name])
                taken.append(producer.send(topic, key=key.encode(), value=value))
            for one in taken:
                one.get(_DELIVERY_MS / 1000)
        self.sent |= {name: new[name] for name in chosen}

    def _label_of(self, name: str, said: EmotionEvent) -> tuple[str, bytes]:
        """A label as tools send it: half of them name the event alone, and the trainer looks it up."""
        fields: dict[str, Any] = {"channel": said.channel, "event_id": name}
        if self._choose.random() < 0.5 and said.audio:
            fields |= {key: getattr(said, key) for key in ("start_sample", "end_sample", "sample_rate")}
            fields["audio"] = said.audio.model_dump()
        return label("happy", call_id=said.call_id, **fields)


def wrong_entries(
    folder: Path, sent: Mapping[str, EmotionEvent], streams: Mapping[str, Sequence[AudioChunk]]
) -> list[str]:
    """What is wrong with the dataset, a sentence each: every label is there once, with its very samples."""
    found: list[str] = []
    entries: dict[str, list[Entry]] = {}
    for entry in Dataset.open(str(folder)).entries():
        entries.setdefault((entry.label.data.event_id if entry.label else None) or "", []).append(entry)
    for name, said in sent.items():
        mine = entries.pop(name, [])
        if len(mine) != 1:
            found.append(f"the label of event {name} was collected {len(mine)} times")
        elif mine[0].state is not State.COLLECTED:
            found.append(f"the label of event {name} is {mine[0].state}")
        elif not _holds(folder, mine[0], said, streams[f"{said.call_id}/{said.channel}"]):
            found.append(f"the label of event {name} has other audio")
    return found + [f"a label of event {name} that nobody has sent" for name in entries]


def _holds(folder: Path, entry: Entry, said: EmotionEvent, chunks: Sequence[AudioChunk]) -> bool:
    """Whether an entry's file is whole, and holds what was labelled."""
    file = folder / audio_path(entry)
    if hashlib.sha256(file.read_bytes()).hexdigest() != entry.audio:
        return False
    samples, rate = soundfile.read(file, dtype="int16")
    return rate == said.sample_rate and np.array_equal(samples, heard(chunks)[said.start_sample : said.end_sample])

"""Calls in Kafka that people have labelled with emotions that no model knows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.support.labels import Send, label
from tests.support.streams import cut
from tests.support.voices import RATE, utterance

MOODS = ("frustrated", "satisfied")
_GAP = np.zeros(RATE, np.int16)

Label = Callable[..., int]


def call_of(
    speaker: int, takes: int, moods: tuple[str, ...] = MOODS
) -> tuple[list[AudioChunk], list[tuple[str, int, int]]]:
    """A caller's call as chunks; the emotion of each utterance, and the samples between which it lies."""
    parts, stretches, position = [], [], 0
    for take in range(takes):
        for mood in moods:
            sound = utterance(mood, speaker, take)
            stretches.append((mood, position, position + len(sound)))
            parts += [sound, _GAP]
            position += len(sound) + len(_GAP)
    return cut(np.concatenate(parts), RATE, RATE // 2, call_id=f"call-{speaker}"), stretches


@pytest.fixture
def labelled_calls(send: Send, topics: Topics) -> Label:
    """Send calls of so many callers, and a label for each utterance. Returns how many labels those are."""

    def make(speakers: range, takes: int = 3, as_: dict[str, str] | None = None) -> int:
        labels = []
        for speaker in speakers:
            chunks, stretches = call_of(speaker, takes)
            places = send(topics.call_audio.name, [(c.stream, c.audio) for c in chunks], [c.headers() for c in chunks])
            span: dict[str, Any] = {"topic": topics.call_audio.name, "partition": 0}
            span |= {"first_offset": places[0].offset, "last_offset": places[-1].offset}
            for mood, start, end in stretches:
                said = (as_ or {}).get(mood, mood)
                fields: dict[str, Any] = {"start_sample": start, "end_sample": end, "sample_rate": RATE, "audio": span}
                labels.append(label(said, call_id=f"call-{speaker}", model_version="emotions-1", **fields))
        send(topics.emotion_labels.name, labels)
        return len(labels)

    return make

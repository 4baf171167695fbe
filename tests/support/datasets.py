"""A dataset of labels as the collector leaves it, made without Kafka."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from schemas.events import AudioSpan
from schemas.labels import EmotionLabel, LabelEnvelope
from tests.support.voices import RATE, utterance
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry, State
from trainer.data.stretches import Stretch

MOODS = ("frustrated", "satisfied")


def labelled_dataset(
    place: Path, callers: int, takes: int = 3, said: Callable[[int, str], str] = lambda _, mood: mood
) -> Dataset:
    """Callers whom Ann has labelled, in two moods each. `said` may have her say another mood of a label's number."""
    made = Dataset.open(str(place))
    made.create()
    for offset in range(callers * len(MOODS) * takes):
        caller, mood, take = offset // (2 * takes), MOODS[offset % 2], offset % (2 * takes) // 2
        sound = utterance(mood, caller, take)
        audio = AudioSpan(topic="call-audio", partition=0, first_offset=0, last_offset=0)
        data = EmotionLabel(
            event_id=f"event-{offset}",
            call_id=f"call-{caller}",
            channel="customer",
            emotion=said(offset, mood),
            labelled_by="ann",
            start_sample=offset,
            end_sample=offset + len(sound),
            sample_rate=RATE,
            audio=audio,
        )
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        label = LabelEnvelope(id=str(offset), source="/t", subject=f"call-{caller}/customer", time=moment, data=data)
        entry = Entry(
            state=State.COLLECTED,
            topic="emotion-labels",
            partition=0,
            offset=offset,
            received=moment,
            label=label,
            stretch=Stretch(label.subject, offset, offset + len(sound), RATE, audio),
        )
        made.add(UUID(int=1), data.call_id, entry, sound)
    return made

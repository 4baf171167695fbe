"""Labels for a stretch that is no utterance of the model's."""

from asyncio import run
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from schemas.events import AudioSpan
from schemas.labels import LabelEnvelope
from tests.console.web.test_whereabouts import entry
from tests.support.console import RATE, Speaker
from undertone.console.web.known import Known
from undertone.console.web.labels import Labels, NoEvent
from undertone.console.web.memory import Memory
from undertone.console.web.sound import SoundGone, Sounds
from undertone.console.web.stretches import Stretch, StretchLabels
from undertone.console.web.whereabouts import Whereabouts


class Kafka:
    """What takes labels, and knows where sound lies."""

    def __init__(self) -> None:
        self.given: list[LabelEnvelope] = []
        self.gone = False

    def give(self, label: LabelEnvelope) -> None:
        self.given.append(label)

    def span(self, where: Whereabouts, start: int, end: int) -> AudioSpan:
        if self.gone:
            raise SoundGone
        return AudioSpan(topic="call-audio", partition=where.partition, first_offset=start, last_offset=end)


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def labels(kafka: Kafka) -> StretchLabels:
    """Of a call that events speak of up to its 42nd second."""
    speaker, memory = Speaker("call-1"), Memory(1_000)
    memory.add([entry(speaker, "segment", 4, 9, 100, 140), entry(speaker, "update", 40, 42, 500, 510)], {0: 1})
    known = SimpleNamespace(of_call=AsyncMock(side_effect=memory.of_call))
    return StretchLabels(cast(Known, known), cast(Sounds, kafka), cast(Labels, kafka))


def stretch(start_s: float, end_s: float, **other: Any) -> Stretch:
    fields = {"call": "call-1", "channel": "customer", "start": int(start_s * RATE), "end": int(end_s * RATE)}
    return Stretch(**fields | other)


def test_a_stretch_is_labelled_with_where_its_sound_lies(labels: StretchLabels, kafka: Kafka) -> None:
    wanted = stretch(10, 12)
    sent = labels.send(wanted, run(labels.where(wanted)), ("angry", "Ann", False))
    taken = labels.send(wanted, run(labels.where(wanted)), ("angry", "Ann", True))
    assert kafka.given == [sent, taken]
    said = sent.data
    assert (said.start_sample, said.end_sample, said.sample_rate, said.event_id) == (10 * RATE, 12 * RATE, RATE, None)
    assert said.audio == AudioSpan(topic="call-audio", partition=3, first_offset=10 * RATE, last_offset=12 * RATE)
    assert (sent.subject, taken.data.withdrawn) == ("call-1/customer", True)


@pytest.mark.parametrize(
    "wanted",
    [stretch(10, 10.1), stretch(12, 10), stretch(41, 42.1), stretch(0, 12, call="call-2"), stretch(0, 12, channel="a")],
)
def test_what_is_no_stretch_of_what_is_known(labels: StretchLabels, wanted: Stretch) -> None:
    with pytest.raises(NoEvent):
        run(labels.where(wanted))


def test_a_stretch_whose_sound_is_gone(labels: StretchLabels, kafka: Kafka) -> None:
    kafka.gone = True
    with pytest.raises(NoEvent, match="any more"):
        labels.send(stretch(10, 12), run(labels.where(stretch(10, 12))), ("angry", "Ann", False))
    assert kafka.given == []

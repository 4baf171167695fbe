"""The verifier says so when the gateway has lost a sample, or the trainer a label."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from schemas.audio import AudioChunk
from schemas.events import EmotionEvent
from schemas.labels import LabelEnvelope
from tests.chaos.callers import Call, wrong_calls
from tests.chaos.labellers import wrong_entries
from tests.chaos.plan import Plan
from tests.support.labels import label
from tests.support.streams import customer, cut
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry, State
from trainer.data.stretches import stretch_of
from undertone.acoustics.codecs import decode
from undertone.inference.engine import Engine
from undertone.inference.model import Model

Chunks = list[AudioChunk]


def spoken() -> tuple[Call, Chunks]:
    """A call that came through, and its chunks."""
    samples, rate = customer()
    call = Call(UUID(int=7), rate, samples[: 5 * rate], whole=True)
    return call, cut(call.samples, rate, rate // 2, call_id=str(call.id))


def test_a_call_that_is_all_there_is_right_and_so_is_the_beginning_of_one_that_broke_off() -> None:
    call, chunks = spoken()
    assert not wrong_calls([call], {call.stream: chunks})
    call.whole = False
    assert not wrong_calls([call], {call.stream: chunks[:3]})
    assert not wrong_calls([call], {})


@pytest.mark.parametrize(
    "damage",
    [
        lambda chunks: chunks[:-1],
        lambda chunks: [*chunks[:3], *chunks[4:]],
        lambda chunks: [*chunks[:3], chunks[2], *chunks[3:]],
        lambda chunks: [chunks[1], chunks[0], *chunks[2:]],
        lambda chunks: [chunks[0].model_copy(update={"audio": chunks[1].audio}), *chunks[1:]],
        lambda _: [],
    ],
    ids=["no end", "a gap", "twice", "reordered", "altered", "nothing"],
)
def test_a_call_of_which_something_is_wrong_is_named(damage: Callable[[Chunks], Chunks]) -> None:
    call, chunks = spoken()
    assert len(wrong_calls([call], {call.stream: damage(chunks)})) == 1


class Collected:
    """A dataset with a label for each utterance of four calls."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dataset = folder, Dataset.open(str(folder))
        self.dataset.create()
        self.streams = {
            name: [chunk.model_copy(update={"place": None}) for chunk in chunks]
            for name, chunks in Plan(seed=3, calls=4, chunks=800).streams().items()
        }
        placed = cut_again(self.streams)
        events = [event for chunks in placed for event in Engine(Model.load()).feed(chunks).events]
        self.sent = {event.id: event.data for event in events if event.data.type == "segment"}
        self._topic, self._offset = uuid4(), 0

    def add(self, name: str, said: EmotionEvent, shift: int = 0, state: State = State.COLLECTED) -> None:
        """An entry as the collector makes it; `shift`: with samples that lie elsewhere."""
        fields = {key: getattr(said, key) for key in ("start_sample", "end_sample", "sample_rate", "channel")}
        assert said.audio
        _, value = label("happy", call_id=said.call_id, event_id=name, audio=said.audio.model_dump(), **fields)
        made = LabelEnvelope.model_validate_json(value)
        entry = Entry(
            state=state,
            topic="emotion-labels",
            partition=0,
            offset=self._offset,
            received=datetime.now(UTC),
            label=made,
            stretch=stretch_of(made.data, None),
        )
        heard = np.concatenate([decode(c.audio, c.encoding) for c in self.streams[f"{said.call_id}/{said.channel}"]])
        samples = np.roll(heard, shift)[said.start_sample : said.end_sample]
        self.dataset.add(self._topic, said.call_id, entry, samples if state is State.COLLECTED else None)
        self._offset += 1

    def wrong(self) -> list[str]:
        """What the verifier says."""
        return wrong_entries(self.folder, self.sent, self.streams)


def cut_again(streams: dict[str, Chunks]) -> list[Chunks]:
    """The same streams with places in Kafka, so that events name their audio."""
    made = []
    for chunks in streams.values():
        sizes = iter([chunk.samples for chunk in chunks if chunk.samples])
        samples = np.concatenate([decode(chunk.audio, chunk.encoding) for chunk in chunks])
        first = chunks[0]
        made.append(cut(samples, first.sample_rate, sizes.__next__, call_id=first.call_id, partition=0))
    return made


@pytest.fixture
def collected(tmp_path: Path) -> Collected:
    made = Collected(tmp_path)
    assert len(made.sent) > 5
    return made


def test_a_dataset_with_every_label_once_is_right(collected: Collected) -> None:
    for name, said in collected.sent.items():
        collected.add(name, said)
    assert not collected.wrong()


def test_labels_that_are_lost_doubled_or_of_other_audio_are_named(collected: Collected) -> None:
    (lost, doubled, other, expired), rest = list(collected.sent)[:4], list(collected.sent)[4:]
    for name in (doubled, doubled, *rest):
        collected.add(name, collected.sent[name])
    collected.add(other, collected.sent[other], shift=1)
    collected.add(expired, collected.sent[expired], state=State.EXPIRED)
    collected.add("0" * 32, collected.sent[rest[0]])
    said = collected.wrong()
    assert len(said) == 5
    for name, what in ((lost, "0 times"), (doubled, "2 times"), (other, "other audio"), (expired, "is expired")):
        assert any(name in text and what in text for text in said)
    assert any("nobody has sent" in text for text in said)

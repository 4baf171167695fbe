"""Labels from Kafka become training data: audio is found through the event, bad labels are dead letters once."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.labels import Send, label, stretch
from tests.support.voices import RATE
from trainer.data import labels
from trainer.data.corpora import load
from trainer.data.labels import collect
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings


def test_a_labelled_event_becomes_a_file_with_its_very_samples(
    kafka_settings: KafkaSettings,
    topics: Topics,
    call: NDArray[np.int16],
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    event = segment.data
    part = stretch(segment, 6000, 14_000)
    send(topics.emotion_labels.name, [label("at ease", event_id=segment.id), label("relieved", **part)])
    found = collect(kafka_settings, tmp_path)
    assert found.files == 2
    assert not found.left_out
    whole, rate = soundfile.read(tmp_path / "00000.wav", dtype="int16")
    assert rate == RATE
    assert np.array_equal(whole, call[event.start_sample : event.end_sample])
    part, _ = soundfile.read(tmp_path / "00001.wav", dtype="int16")
    assert np.array_equal(part, call[6000:14_000])
    rows = found.manifest.read_text().splitlines()
    assert rows[1] == "00000.wav,at ease,c1/customer,labels,your calls"


def test_the_files_are_data_to_train_on(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    part = stretch(segment, 6000, 14_000)
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id), label("mild", call_id="c2", **part)])
    found = load([collect(kafka_settings, tmp_path).manifest])
    assert found.labels == ("cross", "mild")
    assert found.speakers == ("labels/c1/customer", "labels/c2/customer")


def test_what_cannot_be_used_is_counted_and_is_a_dead_letter_once(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    assert segment.data.audio
    gone = segment.data.audio.model_dump() | {"topic": "another-topic"}
    send(
        topics.emotion_labels.name,
        [
            label("cross", event_id="0" * 32),
            ("c1/customer", b"not json"),
            label("cross", call_id="c9", event_id=segment.id),
            label("cross", start_sample=0, end_sample=16_000),
            label("cross", start_sample=0, end_sample=RATE * 61, sample_rate=RATE, audio=gone),
            label("cross", start_sample=0, end_sample=8000, sample_rate=RATE, audio=gone),
            label("cross", event_id=segment.id),
            label("mild", by="bob", event_id=segment.id),
        ],
    )
    found = collect(kafka_settings, tmp_path)
    assert found.files == 0
    assert found.left_out == {
        "unknown_event": 1,
        "invalid_label": 4,
        "audio has expired": 1,
        "people disagree": 1,
    }
    collect(kafka_settings, tmp_path)
    with closing(reader(kafka_settings)) as client:
        letters = list(read_to_end(kafka_settings, client, partitions_of(client, topics.dead_letters.name)))
    reasons = sorted(dict(letter.headers)["undertone_reason"] for letter in letters)
    assert reasons == [*[b"invalid_label"] * 4, b"unknown_event"]
    assert {dict(letter.headers)["undertone_service"] for letter in letters} == {b"trainer"}


def test_a_bad_label_that_comes_meanwhile_is_reported_by_the_next_run(
    kafka_settings: KafkaSettings,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = labels._events

    def find_late(*arguments: Any) -> Any:
        send(topics.emotion_labels.name, [("c1/customer", b"not json")])
        return find(*arguments)

    monkeypatch.setattr(labels, "_events", find_late)
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id)])
    assert not collect(kafka_settings, tmp_path).left_out
    monkeypatch.undo()
    collect(kafka_settings, tmp_path)
    with closing(reader(kafka_settings)) as client:
        letters = list(read_to_end(kafka_settings, client, partitions_of(client, topics.dead_letters.name)))
    assert len(letters) == 1


def test_of_one_person_the_newest_label_counts(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id), label("mild", event_id=segment.id)])
    assert ",mild," in collect(kafka_settings, tmp_path).manifest.read_text()


def test_what_somebody_takes_back_does_not_count(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    taken_back = label("cross", event_id=segment.id, withdrawn=True)
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id), taken_back])
    assert collect(kafka_settings, tmp_path).files == 0
    send(topics.emotion_labels.name, [label("mild", event_id=segment.id), label("mild", "bob", event_id=segment.id)])
    send(topics.emotion_labels.name, [label("mild", "bob", event_id=segment.id, withdrawn=True)])
    assert ",mild," in collect(kafka_settings, tmp_path).manifest.read_text()


@pytest.mark.parametrize("tombstone", ["c1", "c1/customer"])
def test_a_call_that_is_to_be_forgotten_is_in_no_training(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path, tombstone: str
) -> None:
    part = stretch(segment, 6000, 14_000)
    of_call = [label("cross", event_id=segment.id), ("another key", label("cross", **part)[1])]
    send(topics.emotion_labels.name, [label("mild", call_id="c2", **part), *of_call])
    assert collect(kafka_settings, tmp_path).files == 3
    send(topics.emotion_labels.name, [(tombstone, None), of_call[0]])
    found = collect(kafka_settings, tmp_path)
    # Also where it was labelled again after that.
    assert found.left_out == {"forgotten": 3}
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["00000.wav", "manifest.csv"]
    assert [row.split(",")[2] for row in found.manifest.read_text().splitlines()[1:]] == ["c2/customer"]


def test_no_dead_letter_tells_of_a_call_that_is_to_be_forgotten(
    kafka_settings: KafkaSettings, topics: Topics, send: Send, tmp_path: Path
) -> None:
    send(topics.emotion_labels.name, [("c1/agent", b"no label"), ("c1", None), ("c3/agent", b"no label")])
    assert collect(kafka_settings, tmp_path).left_out == {"forgotten": 1, "invalid_label": 1}
    with closing(reader(kafka_settings)) as client:
        letters = list(read_to_end(kafka_settings, client, partitions_of(client, topics.dead_letters.name)))
    assert [letter.key for letter in letters] == [b"c3/agent"]


def test_a_dead_letter_keeps_no_value_where_none_is_to_be_kept(
    kafka_settings: KafkaSettings, topics: Topics, send: Send, tmp_path: Path
) -> None:
    send(topics.emotion_labels.name, [("c1/customer", b"no label")])
    collect(kafka_settings.model_copy(update={"dead_letter_values": False}), tmp_path)
    with closing(reader(kafka_settings)) as client:
        (letter,) = read_to_end(kafka_settings, client, partitions_of(client, topics.dead_letters.name))
    assert (letter.key, letter.value) == (b"c1/customer", b"")
    assert b"(not kept: 8 bytes)" in dict(letter.headers)["undertone_detail"]

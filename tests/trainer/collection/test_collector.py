"""Labels and their audio come into the dataset once, whatever is killed when; what cannot be used is set aside."""

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.labels import Send, label, stretch
from tests.support.streams import cut
from tests.support.voices import RATE
from tests.trainer.collection.collecting import collect, letters
from trainer.collection import event_search
from trainer.collection.dataset import audio_path
from trainer.collection.entry import State
from trainer.collection.settings import TrainerSettings
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings


def test_a_label_is_kept_with_its_very_samples_and_who_heard_it(
    kafka_settings: KafkaSettings,
    topics: Topics,
    call: NDArray[np.int16],
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    send(topics.emotion_labels.name, [label("at ease", by="ann", event_id=segment.id)])
    (entry,) = collect(kafka_settings, tmp_path)
    assert entry.state is State.COLLECTED
    assert entry.heard_by == segment.data.model_version
    assert entry.label
    assert (entry.label.data.labelled_by, entry.label.data.event_id) == ("ann", segment.id)
    file = tmp_path / audio_path(entry)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.audio
    samples, rate = soundfile.read(file, dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, call[segment.data.start_sample : segment.data.end_sample])


def test_what_was_collected_is_not_collected_again(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    of_call = stretch(segment, 6000, 14_000)
    send(
        topics.emotion_labels.name, [label("cross", **of_call), ("c1/customer", b"not json"), label("mild", **of_call)]
    )
    first = collect(kafka_settings, tmp_path)
    assert [entry.state for entry in first] == ["collected", "rejected", "collected"]
    assert collect(kafka_settings, tmp_path) == first
    assert len(letters(kafka_settings, topics)) == 1
    send(topics.emotion_labels.name, [label("calm", **of_call)])
    assert len(collect(kafka_settings, tmp_path)) == 4
    assert len(list((tmp_path / "audio").rglob("*"))) == 3  # a call, its channel, one file


def test_labels_that_cannot_be_used_are_dead_letters_with_the_reason(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    good = stretch(segment, 6000, 14_000)
    gone = good["audio"] | {"topic": "another-topic"}
    backwards = good["audio"] | {"first_offset": -9, "last_offset": -5}
    bad = [
        label("cross", event_id="0" * 32),
        ("c1/customer", b"not json"),
        label("uncertain", **good),
        label("cross", call_id="c9", event_id=segment.id),
        label("cross", start_sample=0, end_sample=16_000),
        label("cross", **good | {"end_sample": RATE * 61}),
        label("cross", **good | {"audio": backwards}),
    ]
    expired = label("cross", **good | {"audio": gone})
    send(topics.emotion_labels.name, [*bad, expired, label("mild", **good)])
    states = [entry.state for entry in collect(kafka_settings, tmp_path)]
    assert states == [*["rejected"] * 7, "expired", "collected"]
    found = letters(kafka_settings, topics)
    reasons = [dict(letter.headers)["undertone_reason"] for letter in found]
    assert reasons == [b"unknown_event", *[b"invalid_label"] * 6]
    assert dict(found[1].headers)["undertone_detail"].startswith(b"value: Invalid JSON")
    assert [letter.value for letter in found] == [value for _, value in bad]


def test_a_part_that_came_twice_does_not_stand_in_for_one_that_is_gone(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    # The audio begins in the middle of what is labelled: the label's span leaves its first chunks out.
    with closing(reader(kafka_settings)) as client:
        records = list(read_to_end(kafka_settings, client, partitions_of(client, topics.call_audio.name)))
    of_call = [record for record in records if record.key == b"c1/customer"]
    (last,) = send(topics.call_audio.name, [("c1/customer", of_call[3].value)], [of_call[3].headers])
    span = stretch(segment, 8000, 16_000)
    span["audio"] |= {"first_offset": of_call[3].offset, "last_offset": last.offset}
    send(topics.emotion_labels.name, [label("cross", **span)])
    assert [entry.state for entry in collect(kafka_settings, tmp_path)] == ["expired"]


def test_a_gap_of_the_stream_itself_is_silence_and_a_chunk_that_is_gone_is_not(
    kafka_settings: KafkaSettings, topics: Topics, send: Send, tmp_path: Path
) -> None:
    def labelled(call_id: str, without: int) -> tuple[str, bytes]:
        """A call of four chunks with half a second of nothing behind the second; a label for all of it."""
        chunks = cut(np.ones(16_000, np.int16), RATE, 4000, call_id=call_id, end=False)
        chunks = [*chunks[:2], *(c.model_copy(update={"first_sample": c.first_sample + 4000}) for c in chunks[2:])]
        chunks = [chunk for chunk in chunks if chunk.sequence != without]
        places = send(topics.call_audio.name, [(c.stream, c.audio) for c in chunks], [c.headers() for c in chunks])
        span = {"topic": topics.call_audio.name, "partition": places[0].partition}
        span |= {"first_offset": places[0].offset, "last_offset": places[-1].offset}
        return label("calm", call_id=call_id, start_sample=1000, end_sample=20_000, sample_rate=RATE, audio=span)

    send(topics.emotion_labels.name, [labelled("c6", without=-1), labelled("c7", without=1)])
    whole, lacking = sorted(collect(kafka_settings, tmp_path), key=lambda entry: entry.call_id)
    assert (whole.state, lacking.state) == (State.COLLECTED, State.EXPIRED)
    samples, _ = soundfile.read(tmp_path / audio_path(whole), dtype="int16")
    assert np.array_equal(samples, np.repeat([1, 0, 1], [7000, 4000, 8000]))


def test_an_agents_audio_is_kept_only_where_agents_are_analysed(
    kafka_settings: KafkaSettings, topics: Topics, send: Send, tmp_path: Path
) -> None:
    chunks = cut(np.ones(16_000, np.int16), RATE, 8000, call_id="c5", role=Role.AGENT)
    places = send(topics.call_audio.name, [(c.stream, c.audio) for c in chunks], [c.headers() for c in chunks])
    span = {"topic": topics.call_audio.name, "partition": 0}
    span |= {"first_offset": places[0].offset, "last_offset": places[-1].offset}
    of_agent = label(
        "calm", call_id="c5", channel=chunks[0].channel, start_sample=0, end_sample=8000, sample_rate=RATE, audio=span
    )
    send(topics.emotion_labels.name, [of_agent])
    assert [entry.state for entry in collect(kafka_settings, tmp_path / "without")] == ["rejected"]
    with_agents = collect(kafka_settings, tmp_path / "with", TrainerSettings(analyze_agent=True))
    assert [entry.state for entry in with_agents] == ["collected"]


def test_an_event_is_found_wherever_it_lies(
    kafka_settings: KafkaSettings,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_search, "_FIRST_STEP", 3)
    send(topics.emotion_events.name, [("c1/customer", b"not an event")] * 20)
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id), label("cross", event_id="0" * 32)])
    assert [entry.state for entry in collect(kafka_settings, tmp_path)] == ["collected", "rejected"]

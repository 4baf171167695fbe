"""Labels and their audio come into the dataset once, whatever is killed when; what cannot be used is set aside."""

import hashlib
import json
import random
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kafka.consumer.fetcher import ConsumerRecord
from numpy.typing import NDArray

from schemas.audio import Role
from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.labels import Send, label, stretch
from tests.support.service import get
from tests.support.streams import cut
from tests.support.voices import RATE
from trainer.collection import event_search, snapshots
from trainer.collection.dataset import Dataset, audio_path
from trainer.collection.entry import Entry, State
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.service import CollectorService
from trainer.collection.settings import TrainerSettings
from trainer.data.corpora import load
from trainer.data.snapshot_folders import note_model
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

PROGRAM = ("-c", "from undertone.cli.main import main; main()", "trainer", "collect")


def collect(settings: KafkaSettings, folder: Path, how: TrainerSettings | None = None) -> list[Entry]:
    """Collect all that is there now. Returns the dataset's entries."""
    dataset = Dataset.open(str(folder))
    service = CollectorService(settings, how or TrainerSettings(), dataset, CollectorMetrics())
    assert service.run(lambda: None, until_end=True)
    return list(dataset.entries())


def letters(settings: KafkaSettings, topics: Topics) -> list[ConsumerRecord]:
    with closing(reader(settings)) as client:
        return list(read_to_end(settings, client, partitions_of(client, topics.dead_letters.name)))


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


@pytest.mark.parametrize("key", ["c1", "c1/customer"])
def test_a_tombstone_deletes_labels_and_audio_and_keeps_later_ones_out(
    kafka_settings: KafkaSettings, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path, key: str
) -> None:
    of_call = stretch(segment, 6000, 14_000)
    labels = [label("cross", **of_call), label("mild", call_id="c2", **of_call)]
    send(topics.emotion_labels.name, labels)
    assert [entry.state for entry in collect(kafka_settings, tmp_path)] == ["collected", "collected"]
    send(topics.emotion_labels.name, [(key, None), labels[0], ("c1/customer", b"not json")])
    entries = collect(kafka_settings, tmp_path)
    assert [entry.state for entry in entries] == ["forgotten", "collected", "tombstone", "forgotten", "forgotten"]
    assert not letters(kafka_settings, topics)
    assert [path.stem for path in tmp_path.rglob("*.wav")] == [entries[1].audio]
    # As a word: c1 is also in every fourth hash.
    texts = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".wav"]
    assert not [path for path in texts if re.search(rb"\bc1\b", path.read_bytes())]


def test_the_command_deletes_a_call_at_once_and_names_models_and_other_datasets_follow(
    kafka_settings: KafkaSettings,
    installation: Installation,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    of_call = stretch(segment, 6000, 14_000)
    send(topics.emotion_labels.name, [label("cross", **of_call), label("mild", call_id="c2", **of_call)])
    folder = tmp_path / "out" / "dataset"
    collect(kafka_settings, folder)
    dataset = Dataset.open(str(folder))
    note_model(snapshots.local_folder(dataset, snapshots.make(dataset).version), "emotions-1")
    review = tmp_path / "out" / "runs" / "one" / "review.csv"
    review.parent.mkdir(parents=True)
    heard = {entry.call_id: audio_path(entry) for entry in dataset.entries()}
    review.write_text(f"audio\n{heard['c1']}\n{heard['c2']}\n")
    arguments = ("labels", "forget", "--call-id", "c1", "--out", str(tmp_path / "out"))
    done = installation.worker("l1", (*PROGRAM[:2], *arguments))
    assert done.process.wait(120) == 0, done.output
    assert "labels deleted from the dataset, with their audio: 1\n" in done.output
    assert "cannot be taken from model emotions-1" in done.output
    assert "files of reports rewritten without it: 1\n" in done.output
    assert review.read_text() == f"audio\n{heard['c2']}\n"
    assert [entry.state for entry in dataset.entries()] == ["forgotten", "collected"]
    other = collect(kafka_settings, tmp_path / "other")
    assert sorted(entry.state for entry in other) == ["collected", "forgotten", "tombstone"]


def test_a_dataset_is_data_to_train_on(
    kafka_settings: KafkaSettings,
    kafka_environment: dict[str, str],
    installation: Installation,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    one, other = stretch(segment, 6000, 14_000), stretch(segment, 7000, 14_000)
    send(
        topics.emotion_labels.name,
        [label("cross", event_id=segment.id), label("mild", call_id="c2", **one), label("calm", **other)],
    )
    folder = tmp_path / "labels"
    done = installation.worker("t1", (*PROGRAM, "--until-end", "--dataset", str(folder)), trainer_metrics_port=0)
    assert done.process.wait(120) == 0, done.output
    assert "all labels are kept" in done.output
    made = installation.worker("t2", (*PROGRAM[:-1], "snapshot", "--dataset", str(folder)))
    assert made.process.wait(120) == 0, made.output
    for path in (folder, Path(made.output.splitlines()[-1])):
        found = load([path])
        assert found.labels == ("calm", "cross", "mild")
        assert found.speakers == ("labels/c1/customer", "labels/c2/customer")
        assert all(utterance.path.is_file() for utterance in found.utterances)


@pytest.mark.slow
def test_a_collector_that_is_killed_again_and_again_keeps_each_label_once(
    kafka_settings: KafkaSettings,
    installation: Installation,
    topics: Topics,
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    starts = range(4000, 16_000, 40)
    labels = [label(f"like {start % 7}", **stretch(segment, start, start + 8000)) for start in starts]
    labels[::10] = [("c1/customer", b"not json")] * len(labels[::10])
    sent = send(topics.emotion_labels.name, labels)
    folder, chance = tmp_path / "labels", random.Random(1)

    def start(name: str, *arguments: str) -> WorkerProcess:
        return installation.worker(name, (*PROGRAM, "--dataset", str(folder), *arguments), trainer_metrics_port=0)

    def kept() -> int:
        return len(list(folder.rglob("labels/*/*/*.json")))

    for _ in range(6):
        before = kept()
        collector = start("t1")
        enough = before + chance.randrange(1, 40)
        wait_for(lambda: kept() >= min(enough, len(sent)), "labels", said=collector.last_words)  # noqa: B023
        collector.kill()
        assert kept() <= len(sent)
    # Two at once at the end: neither counts what the other has.
    both = [start("t1", "--until-end"), start("t2", "--until-end")]
    assert [collector.process.wait(120) for collector in both] == [0, 0], both[0].output + both[1].output
    entries = list(Dataset.open(str(folder)).entries())
    assert [entry.offset for entry in entries] == [place.offset for place in sent]
    assert sum(entry.state is State.COLLECTED for entry in entries) == len(starts) - len(starts[::10])
    assert sum(entry.state is State.REJECTED for entry in entries) == len(starts[::10])
    for entry in entries:
        if entry.audio:
            assert hashlib.sha256((folder / audio_path(entry)).read_bytes()).hexdigest() == entry.audio
    reported = {int(dict(letter.headers)["undertone_offset"]) for letter in letters(kafka_settings, topics)}
    assert reported == {place.offset for place in sent[::10]}
    dataset = json.loads((folder / "dataset.json").read_text())["id"]
    group = f"{kafka_settings.topic_prefix}undertone-trainer-{dataset}"
    with closing(reader(kafka_settings, group_id=group)) as client:
        (partition, *_) = partitions_of(client, topics.emotion_labels.name)
        assert client.committed(partition) == len(sent)


@pytest.mark.slow
def test_a_label_is_collected_within_seconds_and_the_service_tells_of_it(
    installation: Installation, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
) -> None:
    folder = tmp_path / "labels"
    collector = installation.worker("t1", (*PROGRAM, "--dataset", str(folder)), trainer_metrics_port=0).ready()
    send(topics.emotion_labels.name, [label("cross", event_id=segment.id), ("c1/customer", b"not json")])
    wait_for(lambda: len(list(folder.rglob("labels/*/*/*.json"))) == 2, "labels", said=collector.last_words)
    url = collector.output.split("metrics ")[1].split()[0]
    wait_for(lambda: 'undertone_collector_lag_records{partition="0"} 0.0' in get(url)[1], "the lag")
    page = get(url)[1]
    assert 'undertone_collector_labels_total{state="collected"} 1.0' in page
    assert 'undertone_collector_dead_letters_total{reason="invalid_label"} 1.0' in page
    assert get(url.replace("/metrics", "/readyz"))[0] == 200
    assert collector.stop() == 0
    assert "stopped" in collector.output

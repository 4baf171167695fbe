"""Collectors as processes: killed again and again, two at once, and what they tell and leave to train on."""

import hashlib
import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.labels import Send, label, stretch
from tests.support.service import get
from tests.trainer.collection.collecting import PROGRAM, letters
from trainer.collection.dataset import Dataset, audio_path
from trainer.collection.entry import State
from trainer.data.corpora import load
from undertone.messaging.clients import reader
from undertone.messaging.reading import partitions_of
from undertone.messaging.settings import KafkaSettings


def test_a_dataset_is_data_to_train_on(
    installation: Installation, topics: Topics, segment: EventEnvelope, send: Send, tmp_path: Path
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

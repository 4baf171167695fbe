"""`undertone forget` on a real Kafka, with a real worker and the trainer's reader of labels."""

import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from schemas.errors import UserError
from schemas.events import Summary
from schemas.topics import Topics
from tests.support.installation import Installation
from tests.support.streams import customer, cut
from undertone.erasure.forget import forget
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

pytestmark = pytest.mark.slow


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("undertone")), "forget", *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)


def newest(records: list[ConsumerRecord]) -> dict[bytes, bytes | None]:
    return {record.key: record.value for record in records}


def states(installation: Installation, ready: dict[bytes, bool]) -> dict[bytes, bytes | None]:
    """The newest state of each stream, once those of `ready` are there (True) or tombstones (False)."""

    def enough(records: list[ConsumerRecord]) -> bool:
        found = newest(records)
        return all(key in found and (found[key] is not None) is there for key, there in ready.items())

    return newest(installation.records(installation.topics.worker_state.name, enough))


def test_a_call_that_has_ended_is_forgotten(
    installation: Installation, kafka_environment: Mapping[str, str], topics: Topics
) -> None:
    samples, rate = customer()
    installation.worker().ready()
    # One whose name begins like the other's.
    for call_id in ("call-7", "call-70"):
        installation.send(cut(samples[: 3 * rate], rate, rate // 2, call_id=call_id))
    before = states(installation, {b"call-7/customer": True, b"call-70/customer": True})
    installation.events(2)

    done = run(kafka_environment, "--call-id", "call-7")

    assert done.returncode == 0, done.stderr
    assert "state erased: call-7/customer\n" in done.stdout
    after = states(installation, {b"call-7/customer": False})
    assert after[b"call-70/customer"] == before[b"call-70/customer"]
    (tombstone,) = installation.records(topics.emotion_labels.name, bool)
    assert (tombstone.key, tombstone.value) == (b"call-7", None)
    told = done.stdout.replace("\n", " ")
    for topic in (topics.call_audio, topics.emotion_events, topics.worker_state, topics.dead_letters):
        assert re.search(rf"{topic.name}\W+\d{{4}}-\d\d-\d\d \d\d:\d\d UTC", told), told
    assert re.search(rf"{topics.emotion_labels.name}\W+for good", told)
    again = run(kafka_environment, "--call-id", "call-7")
    assert again.returncode == 0, again.stderr
    assert "there was none" in again.stdout


def test_an_open_call_is_refused_and_forgotten_once_it_is_ended(
    installation: Installation, kafka_environment: Mapping[str, str], topics: Topics
) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2, call_id="call-8")
    worker = installation.worker().ready()
    installation.send(chunks[:8])
    states(installation, {b"call-8/customer": True})

    done = run(kafka_environment, "--call-id", "call-8")
    assert done.returncode == 2
    assert done.stderr == (
        "undertone: call call-8 is open (call-8/customer): stop its producer, wait for its summary and come again,"
        " or end it now with --end\n"
    )
    done = run(kafka_environment, "--call-id", "call-8", "--end")
    assert done.returncode == 0, done.stderr
    states(installation, {b"call-8/customer": False})
    events = [event.data for event in installation.events(1)]
    assert isinstance(events[-1], Summary)
    assert events[-1].ended_by == "end"
    assert events[-1].end_sample == 8 * rate // 2
    # What its producer still sends is dropped, and is in no dead letter with its sound.
    installation.send(chunks[8:12])
    other = cut(samples[: 2 * rate], rate, rate, call_id="other")
    installation.send([*other, other[-1].model_copy(update={"sequence": 99})])
    letters = installation.dead_letters(1)
    assert [letter.key for letter in letters] == [b"other/customer"]
    assert worker.stop() == 0


def test_without_a_worker_an_open_call_is_not_forgotten(
    installation: Installation, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    samples, rate = customer()
    worker = installation.worker().ready()
    installation.send(cut(samples, rate, rate // 2, call_id="call-9")[:4])
    before = states(installation, {b"call-9/customer": True})
    worker.kill()
    with pytest.raises(UserError, match=r"no worker has ended call-9/customer within 1 s, and nothing is forgotten"):
        forget(kafka_settings, "call-9", end=True, timeout_s=1)
    assert states(installation, {b"call-9/customer": True}) == before
    # A worker that comes back ends it, as it was asked to.
    installation.worker().ready()
    assert installation.events(1)[-1].data.type == "summary"


def test_a_state_that_no_worker_can_read_is_erased_too(kafka_settings: KafkaSettings, topics: Topics) -> None:
    with closing(idempotent_producer(kafka_settings)) as producer:
        producer.send(topics.worker_state.name, key=b"old/agent", value=b"of another time", partition=2).get(timeout=60)
    erased, _ = forget(kafka_settings, "old")
    assert erased == ["old/agent"]
    assert forget(kafka_settings, "old")[0] == []


def test_an_id_that_no_call_can_have_is_one_line(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(UserError, match="--call-id 'a/b': no call can have this id"):
        forget(kafka_settings, "a/b")

"""Records that are damaged on a broker's disk cost themselves, in call-audio as in worker-state."""

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.support.installation import Installation, wait_for
from tests.support.service import value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.devbroker.broker import local_broker
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin, audio_producer, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.service import Worker

pytestmark = pytest.mark.slow


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """An installation whose broker's files lie in `tmp_path`, one partition."""
    with local_broker(data_dir=tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        with admin(settings) as client:
            ensure_topics(client, Topics(), partitions=1)
        it = Installation(settings, environment, Topics(), tmp_path)
        yield it
        it.close()


def damage(directory: Path, topic: str, mark: bytes) -> None:
    """Change one byte of a record that lies on the broker's disk."""
    (log,) = (directory / "kafka").rglob(f"{topic}-0/00000000000000000000.log")
    at = log.read_bytes().index(mark)
    with log.open("r+b") as file:
        file.seek(at)
        file.write(bytes([mark[0] ^ 1]))


def damage_length(directory: Path, topic: str, offset: int, length: int) -> None:
    """Change the length that the batch at `offset` says it has: by it a broker finds the batches behind it."""
    (log,) = (directory / "kafka").rglob(f"{topic}-0/00000000000000000000.log")
    data, at = log.read_bytes(), 0
    while int.from_bytes(data[at : at + 8]) != offset:
        at += 12 + int.from_bytes(data[at + 8 : at + 12])
    with log.open("r+b") as file:
        file.seek(at + 8)
        file.write(length.to_bytes(4))


def send_one_by_one(installation: Installation, chunks: list[AudioChunk]) -> None:
    """Each chunk in a batch of its own."""
    with closing(audio_producer(installation.settings)) as producer:
        for chunk in chunks:
            producer.send(
                installation.topics.call_audio.name,
                key=chunk.stream.encode(),
                value=chunk.audio,
                headers=chunk.headers(),
            ).get(timeout=60)


def has_read(worker: Worker, chunks: int) -> bool:
    return value(worker, "undertone_chunks_total") == chunks


def test_audio_that_is_damaged_is_a_gap_and_a_dead_letter(installation: Installation, tmp_path: Path) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    send_one_by_one(installation, chunks)
    damage(tmp_path, "call-audio", chunks[20].audio[-200:])
    without = chunks[:20] + chunks[21:]
    expected = lines(hear(Engine(Model.load()), without))
    with working(installation) as worker:
        assert lines(installation.events(len(expected))) == expected
        (letter,) = installation.dead_letters(1)
        assert value(worker, "undertone_sessions_total") == 1
    told = dict(letter.headers)
    assert told["undertone_reason"] == b"corrupt_record"
    assert (told["undertone_topic"], told["undertone_offset"]) == (b"call-audio", b"20")
    with working(installation):  # not again
        assert len(installation.dead_letters(1)) == 1


@pytest.mark.parametrize("offset", [0, 20])
def test_a_batch_that_the_broker_itself_cannot_read_is_skipped(
    installation: Installation, tmp_path: Path, offset: int
) -> None:
    """It answers CORRUPT_MESSAGE to whoever asks for it, and for nothing behind the next place in its index."""
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    send_one_by_one(installation, chunks)
    damage_length(tmp_path, "call-audio", offset, 3)
    without = chunks[:offset] + chunks[offset + 1 :]
    expected = lines(hear(Engine(Model.load()), without))
    with working(installation) as worker:
        assert lines(installation.events(len(expected))) == expected
        (letter,) = installation.dead_letters(1)
        assert value(worker, "undertone_sessions_total") == 1
        assert value(worker, "undertone_dead_letters_total", reason="corrupt_record") == 1
    told = dict(letter.headers)
    assert told["undertone_reason"] == b"corrupt_record"
    assert (told["undertone_topic"], told["undertone_offset"]) == (b"call-audio", str(offset).encode())


def test_state_that_the_broker_itself_cannot_read_costs_its_own_stream(
    installation: Installation, tmp_path: Path
) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    installation.send(chunks[:20])
    with working(installation) as worker:
        wait_for(partial(has_read, worker, 20), "the first half")
    damage_length(tmp_path, "worker-state", 0, 3)
    other = cut(samples, rate, rate // 2, call_id="other")
    installation.send(other)
    expected = lines(hear(Engine(Model.load()), other))
    with working(installation) as worker:
        wait_for(partial(has_read, worker, len(other)), "another call to be heard")
        assert value(worker, "undertone_sessions_total") == 1
        events = installation.events(len(expected))
    assert lines(event for event in events if event.data.call_id == "other") == expected


def test_state_that_is_damaged_costs_its_own_stream(installation: Installation, tmp_path: Path) -> None:
    samples, rate = customer()
    good, other = (cut(samples, rate, rate // 2, call_id=name) for name in ("good", "other"))
    for chunks in (good, other):
        installation.send(chunks[:20])
        with working(installation) as worker:
            wait_for(partial(has_read, worker, 20), "the first half")
    mark = b"other/customer"
    damage(tmp_path, "worker-state", mark)
    with closing(idempotent_producer(installation.settings)) as producer:
        producer.send("worker-state", key=b"odd/customer", value=b"no state", partition=0).get(timeout=60)
    installation.send(good[20:])
    expected = lines(hear(Engine(Model.load()), good))
    with working(installation) as worker:
        letters = installation.dead_letters(2)
        events = installation.events(len(expected))
        assert lines(event for event in events if event.data.call_id == "good") == expected
        assert value(worker, "undertone_sessions_total") == 1
    told = sorted(dict(letter.headers)["undertone_reason"] for letter in letters)
    assert told[0] == b"corrupt_record" and told[-1] == b"invalid_state"
    assert set(told) == {b"corrupt_record", b"invalid_state"}

"""When a call is idle: by what was read of its partition, never by an outage or by a wrong clock."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaTimeoutError

from schemas.audio import AudioChunk
from schemas.events import EventEnvelope
from schemas.topics import Topics
from tests.support.installation import Installation
from tests.support.streams import customer, cut, hear, lines
from undertone.devbroker.broker import local_broker
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin, audio_producer
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from worker.event_time import EventTime

HERE, THERE = TopicPartition("call-audio", 0), TopicPartition("call-audio", 1)
CREATE_TIME, LOG_APPEND_TIME = 0, 1


class Broker:
    """Answers for the ends of partitions, or does not; and the time that passes meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ends: dict[TopicPartition, int] = {HERE: 0, THERE: 0}
        self.away: set[TopicPartition] = set()
        self.monotonic, self.wall = 1000.0, 1e9
        monkeypatch.setattr("time.monotonic", lambda: self.monotonic)
        monkeypatch.setattr("time.time", lambda: self.wall)

    def end_offsets(self, partitions: Sequence[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        if self.away & set(partitions):
            self.monotonic += timeout_ms / 1000
            raise KafkaTimeoutError
        return {partition: self.ends[partition] for partition in partitions}


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    return Broker(monkeypatch)


@pytest.fixture
def event_time(broker: Broker) -> EventTime:
    """Of two partitions whose newest chunks are of 1,000 s."""
    engine = SimpleNamespace(event_time=lambda partition: 1_000_000)
    times = EventTime(broker, engine, idle_seconds=300)  # type: ignore[arg-type]
    times.follow([HERE, THERE])
    return times


def record(seconds: float, kind: int = LOG_APPEND_TIME) -> Any:
    return SimpleNamespace(timestamp=round(1000 * seconds), timestamp_type=kind)


def now(event_time: EventTime, partition: TopicPartition = HERE) -> float:
    time_ms = event_time.now(partition)
    assert time_ms is not None
    return time_ms / 1000


def wait(broker: Broker, event_time: EventTime, seconds: float) -> None:
    """The loop turns for a time, and looks at the partitions every 10 s."""
    for _ in range(round(seconds / 10)):
        broker.monotonic += 10
        event_time.pass_quiet_time({HERE: 0, THERE: 0})


def test_time_passes_from_record_to_record(event_time: EventTime) -> None:
    times = [event_time.read(HERE, record(seconds)) for seconds in (1001, 1001, 1005, 1014.5)]
    assert times == [1_001_000, 1_001_000, 1_005_000, 1_014_500]
    assert now(event_time, THERE) == 1000


def test_an_outage_is_a_gap_and_no_time(event_time: EventTime) -> None:
    event_time.read(HERE, record(5000))
    assert now(event_time) == 1010
    event_time.read(HERE, record(5003))
    assert now(event_time) == 1013


def test_time_passes_where_nothing_is_left_to_read(broker: Broker, event_time: EventTime) -> None:
    wait(broker, event_time, 10)  # from here on it is known that nothing is left
    wait(broker, event_time, 300)
    assert now(event_time) == now(event_time, THERE) == 1300
    event_time.read(HERE, record(1301))  # what has passed is not counted twice
    assert now(event_time) == 1301


def test_no_time_passes_while_a_partition_cannot_be_fetched(broker: Broker, event_time: EventTime) -> None:
    wait(broker, event_time, 10)
    broker.away.add(HERE)
    wait(broker, event_time, 600)
    broker.away.clear()
    wait(broker, event_time, 10)
    assert now(event_time) == 1000
    assert now(event_time, THERE) > 1600


def test_no_time_passes_with_a_backlog(broker: Broker, event_time: EventTime) -> None:
    broker.ends[HERE] = 1
    wait(broker, event_time, 600)
    assert now(event_time) == 1000


def test_no_time_passes_while_the_worker_is_frozen(broker: Broker, event_time: EventTime) -> None:
    wait(broker, event_time, 10)
    broker.monotonic += 3600
    wait(broker, event_time, 10)
    assert now(event_time) == 1000


def test_the_workers_own_clock_has_no_part_in_it(broker: Broker, event_time: EventTime) -> None:
    broker.wall += 3600
    wait(broker, event_time, 10)
    event_time.read(HERE, record(1001))
    wait(broker, event_time, 20)
    assert now(event_time) <= 1021


def test_many_dead_leaders_take_no_more_than_a_second(broker: Broker) -> None:
    partitions = [TopicPartition("call-audio", number) for number in range(20)]
    engine = SimpleNamespace(event_time=lambda partition: 1_000_000)
    event_time = EventTime(broker, engine, idle_seconds=300)  # type: ignore[arg-type]
    event_time.follow(partitions)
    broker.ends = dict.fromkeys(partitions, 0)
    broker.away = set(partitions[:19])
    for _ in range(40):
        broker.monotonic += 10
        before = broker.monotonic
        event_time.pass_quiet_time(dict.fromkeys(partitions, 0))
        assert broker.monotonic - before <= 1.5
    broker.away.clear()
    for _ in range(3):
        broker.monotonic += 10
        event_time.pass_quiet_time(dict.fromkeys(partitions, 0))
    assert now(event_time, partitions[0]) >= 1010


def test_producers_clocks_cannot_hurry_time(broker: Broker, event_time: EventTime) -> None:
    """With CreateTime one lies 300 s ahead of the other, and a third one in the year 2100."""
    broker.wall = 2000
    for second in range(20):
        event_time.read(HERE, record(1001 + second, CREATE_TIME))
        event_time.read(HERE, record(1301 + second, CREATE_TIME))
    assert now(event_time) <= 1000 + 1 + 10 + 19
    event_time.read(HERE, record(4_102_444_800, CREATE_TIME))
    event_time.read(HERE, record(4_102_444_900, CREATE_TIME))
    assert now(event_time) <= 1000 + 1 + 10 + 19 + 10


def test_a_partition_that_left_begins_anew(event_time: EventTime) -> None:
    event_time.read(HERE, record(1005))
    event_time.follow([THERE])
    assert event_time.now(HERE) is None
    event_time.follow([HERE, THERE])
    assert now(event_time) == 1000


def of(events: list[EventEnvelope], chunks: list[AudioChunk]) -> list[str]:
    """The events of one stream."""
    return lines(event for event in events if event.subject == chunks[0].stream)


def alone(chunks: list[AudioChunk]) -> list[str]:
    """The engine's events without Kafka."""
    return lines(hear(Engine(Model.load()), chunks))


@pytest.mark.slow
def test_a_call_on_hold_goes_on(installation: Installation) -> None:
    """Closed for being idle in a silence, it speaks again: nothing is lost, its last summary is that of all of it."""
    chunks = cut(*customer(), 4000)
    installation.worker(idle_seconds=3).ready()
    installation.send(chunks[:22])
    before = installation.events(len(hear(Engine(Model.load()), chunks[:22])) + 1)
    assert [getattr(event.data, "ended_by", "") for event in before][-1] == "idle"
    installation.send(chunks[22:])
    expected = alone(chunks)
    events = installation.events(len(expected) + 1)
    assert lines(event for event in events if event.id != before[-1].id) == expected
    assert all(event.data.audio for event in events)
    assert installation.records(installation.topics.dead_letters.name, lambda found: True) == []


@pytest.mark.slow
def test_a_call_that_ends_right_after_a_restart_says_where_its_audio_lies(installation: Installation) -> None:
    chunks = cut(*customer(), 4000, end=False)
    before = len(hear(Engine(Model.load()), chunks))
    worker = installation.worker().ready()
    installation.send(chunks)
    installation.events(before)
    worker.kill()
    installation.worker(idle_seconds=3).ready()
    summary = installation.events(before + 1)[-1].data
    assert (summary.type, getattr(summary, "ended_by", "")) == ("summary", "idle")
    assert summary.audio is not None
    assert summary.audio.last_offset - summary.audio.first_offset == len(chunks) - 1


@pytest.mark.slow
def test_a_workers_clock_that_is_ahead_closes_nothing(installation: Installation) -> None:
    ahead = "import time; right = time.time; time.time = lambda: right() + 3600"
    chunks = cut(*customer(), 4000)
    installation.worker(
        program=("-c", f"{ahead}; from undertone.cli.main import main; main()", "worker"), idle_seconds=60
    ).ready()
    installation.send(chunks[:22])
    time.sleep(5)  # it looks for idle streams every 2 s
    installation.send(chunks[22:])
    expected = alone(chunks)
    assert lines(installation.events(len(expected))) == expected


@pytest.mark.slow
def test_the_first_call_after_an_outage_closes_no_other(
    installation: Installation, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    """By the timestamps, an hour lies between the halves of two calls in one partition; one goes on 5 s earlier."""
    with closing(admin(kafka_settings)) as client:
        config = {"message.timestamp.type": "CreateTime", "message.timestamp.before.max.ms": str(10**12)}
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.call_audio.name, config)])
    first, second = cut(*customer(), 4000, call_id="first"), cut(*customer(), 4000, call_id="second")
    began_ms = int(1000 * (time.time() - 7200))

    def send(chunks: list[AudioChunk], at_ms: int) -> None:
        with closing(audio_producer(kafka_settings)) as producer:
            for chunk in chunks:
                producer.send(
                    topics.call_audio.name,
                    key=chunk.stream.encode(),
                    value=chunk.audio,
                    headers=chunk.headers(),
                    partition=0,
                    timestamp_ms=at_ms + chunk.first_sample // 8,
                )
            producer.flush()

    installation.worker(idle_seconds=60).ready()
    send(first[:22], began_ms)
    send(second[:22], began_ms)
    time.sleep(5)
    send(first[22:], began_ms + 3_600_000)
    time.sleep(5)
    send(second[22:], began_ms + 3_600_000)
    expected = [alone(first), alone(second)]
    sent = installation.records(topics.call_audio.name, lambda found: len(found) == len(first) + len(second))
    assert {record.timestamp_type for record in sent} == {CREATE_TIME}
    events = installation.events(len(expected[0]) + len(expected[1]))
    assert [of(events, first), of(events, second)] == expected


@pytest.mark.slow
def test_a_call_outlives_a_broker_that_is_away_for_longer_than_the_idle_time(tmp_path: Path) -> None:
    chunks = cut(*customer(), 4000)
    with local_broker(data_dir=tmp_path / "kafka") as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        installation = Installation(settings, environment, Topics(), tmp_path)
        with admin(settings) as client:
            ensure_topics(client, installation.topics, partitions=4)
        installation.worker(idle_seconds=30).ready()
        installation.send(chunks[:22])
        installation.events(len(hear(Engine(Model.load()), chunks[:22])))
    time.sleep(32)
    try:
        with local_broker(int(broker.bootstrap_servers.rpartition(":")[2]), tmp_path / "kafka"):
            installation.send(chunks[22:])
            expected = alone(chunks)
            assert lines(installation.events(len(expected))) == expected
    finally:
        installation.close()

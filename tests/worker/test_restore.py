"""Partitions that a worker is given: each goes on when it is restored whole, and from the right offset."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.partitioner import murmur2
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from schemas.audio import AudioChunk
from schemas.errors import UserError
from tests.support.installation import Installation, wait_for
from tests.support.service import bundle_of, publish_model, starting, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.messaging.clients import admin, transactional_producer
from undertone.messaging.topics import raise_partitions
from worker import restorer, session
from worker.changelog import ChangelogReader
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import PoisonPills
from worker.progress import Progress
from worker.settings import WorkerSettings
from worker.start_offset import start_offset

PARTITIONS = 4


def call_in(partition: int, partitions: int = PARTITIONS) -> list[AudioChunk]:
    """A call whose stream goes to `partition`, as the producer chooses it."""
    samples, rate = customer()
    for number in range(100):
        chunks = cut(samples, rate, rate // 2, call_id=f"call-{number}")
        if (murmur2(chunks[0].stream.encode()) & 0x7FFFFFFF) % partitions == partition:
            return chunks
    raise AssertionError("no such name")


def alone(*streams: list[AudioChunk]) -> list[str]:
    return [line for stream in streams for line in lines(hear(Engine(Model.load()), stream))]


def heard_of(installation: Installation, *streams: list[AudioChunk]) -> list[str]:
    events = installation.events(len(alone(*streams)))
    return [line for stream in streams for line in lines(e for e in events if e.subject == stream[0].stream)]


@contextmanager
def restores_that_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """No restore in this process comes to its end before the event is set."""
    go, poll = threading.Event(), ChangelogReader.poll
    with monkeypatch.context() as patch:
        patch.setattr(ChangelogReader, "poll", lambda reader: poll(reader) if go.wait(0.05) else [])
        yield go
        go.set()


def consumers_made(monkeypatch: pytest.MonkeyPatch) -> list[KafkaConsumer]:
    """The consumers of the sessions that begin in this process from now on."""
    made: list[KafkaConsumer] = []
    make: Callable[..., KafkaConsumer] = session._consumer

    def making(*arguments: object) -> KafkaConsumer:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(session, "_consumer", making)
    return made


@pytest.mark.slow
def test_a_stop_during_a_restore_leaves_the_call_as_it_was(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = call_in(0)
    installation.send(call[:20])
    with working(installation) as worker:
        wait_for(lambda: value(worker, "undertone_chunks_total") == 20, "the first half")
    installation.send(call[20:])
    with restores_that_wait(monkeypatch), starting(installation) as (worker, ready):
        wait_for(lambda: value(worker, "undertone_rebalances_total", kind="assigned") > 0, "the partitions")
        assert not ready.wait(2)
        assert value(worker, "undertone_chunks_total") == 0
    with working(installation):
        assert heard_of(installation, call) == alone(call)


def test_kafka_that_is_away_during_a_restore_is_waited_for(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = iter([UserError("no Kafka"), UserError("no Kafka")])

    def opening(*arguments: object) -> ChangelogReader:
        for error in attempts:
            raise error
        return ChangelogReader(*arguments)  # type: ignore[arg-type]

    call = call_in(0)
    monkeypatch.setattr(restorer, "ChangelogReader", opening)
    installation.send(call)
    with working(installation) as worker:
        assert heard_of(installation, call) == alone(call)
        assert value(worker, "undertone_errors_total", stage="restore", error_type="UserError") == 2
    assert "no Kafka" in caplog.text


@pytest.mark.slow
def test_a_model_that_is_looked_up_holds_up_its_own_partition_only(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call within an utterance waits for its model; Kafka does not give it at first, and other calls go on."""
    calls = [call_in(partition) for partition in (0, 1)]
    publish_model(installation, "older", bundle_of("older"))
    with working(installation) as worker:
        installation.send(calls[0][:10])
        wait_for(lambda: value(worker, "undertone_chunks_total") == 10, "the first call's utterance")
    publish_model(installation, "newer", bundle_of("newer"))
    asked, go, find = threading.Event(), threading.Event(), ModelFeed.find
    failures = iter([KafkaTimeoutError("no models"), KafkaTimeoutError("no models")])

    def finding(models: ModelFeed, version: str) -> Model | None:
        asked.set()
        assert go.wait(120)
        for failure in failures:
            raise failure
        return find(models, version)

    monkeypatch.setattr(ModelFeed, "find", finding)
    with starting(installation) as (worker, ready):
        assert asked.wait(60)
        installation.send(calls[1])
        wait_for(lambda: value(worker, "undertone_events_total", type="summary") == 1, "the other call's end")
        assert not ready.is_set()
        go.set()
        assert ready.wait(60)
        installation.send(calls[0][10:])
        events = installation.events(len(alone(*calls)))
        assert value(worker, "undertone_sessions_total") == 1
        assert value(worker, "undertone_errors_total", stage="restore", error_type="KafkaTimeoutError") == 2
    said = [event for event in events if event.subject == calls[0][0].stream]
    by_segment = [event.data.model_version for event in said if event.data.type == "segment"]
    assert by_segment == ["older"] + ["newer"] * (len(by_segment) - 1)


@pytest.mark.slow
def test_an_offset_that_is_held_back_holds_up_its_own_partition_only(installation: Installation) -> None:
    calls = [call_in(partition) for partition in range(PARTITIONS)]
    group = ConsumerGroupMetadata(f"{installation.settings.topic_prefix}undertone-workers")
    held = TopicPartition(installation.topics.call_audio.name, 0)
    with closing(transactional_producer(installation.settings, "someone-else")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send_offsets_to_transaction({held: OffsetAndMetadata(0)}, group)
        for call in calls:
            installation.send(call)
        with starting(installation) as (worker, ready):
            assert heard_of(installation, *calls[1:]) == alone(*calls[1:])
            assert not ready.is_set()
            # A pass waits for audio for half a second at most; looking up offsets took a second more of each.
            before = value(worker, "undertone_stage_seconds_count", stage="poll")
            wait_for(lambda: value(worker, "undertone_stage_seconds_count", stage="poll") > before + 100, "100 passes")
            producer.abort_transaction()
            assert heard_of(installation, *calls) == alone(*calls)
            assert ready.is_set()


@pytest.mark.slow
def test_a_partition_that_leaves_during_its_restore(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [call_in(partition) for partition in range(PARTITIONS)]
    for call in calls:
        installation.send(call[:20])
    with working(installation) as worker:
        wait_for(lambda: value(worker, "undertone_chunks_total") == 20 * PARTITIONS, "the first halves")
    with restores_that_wait(monkeypatch) as go, starting(installation) as (worker, ready):
        wait_for(lambda: value(worker, "undertone_rebalances_total", kind="assigned") > 0, "the partitions")
        other = installation.worker("other").ready()
        wait_for(lambda: value(worker, "undertone_rebalances_total", kind="revoked") > 0, "two of them to leave")
        for call in calls:
            installation.send(call[20:])
        go.set()
        assert ready.wait(60)
        assert heard_of(installation, *calls) == alone(*calls)
        assert value(worker, "undertone_restored_streams_total") == 2
        assert other.stop() == 0


def test_a_session_whose_producer_cannot_be_made_leaves_no_consumer(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise UserError("no Kafka")

    made = consumers_made(monkeypatch)
    monkeypatch.setattr(session, "_producer", failing)
    metrics = WorkerMetrics()
    models = ModelFeed(Model.load(), metrics)
    with pytest.raises(UserError, match="no Kafka"):
        session.Session(
            installation.settings,
            WorkerSettings.load(),
            models,
            PoisonPills(),
            Progress(metrics),
            metrics,
            stopping=lambda: False,
        )
    assert made and all(consumer._closed for consumer in made)


def test_records_that_retention_took_are_counted(installation: Installation, caplog: pytest.LogCaptureFixture) -> None:
    call = call_in(1)
    place = TopicPartition(installation.topics.call_audio.name, 1)
    installation.send(call[:5])
    with working(installation) as worker:
        wait_for(lambda: value(worker, "undertone_chunks_total") == 5, "the first chunks")
    installation.send(call[5:])
    with admin(installation.settings) as client:
        client.delete_records({place: 12})
    with working(installation) as worker:
        assert value(worker, "undertone_offset_reset_records_total", kind="lost") == 7
        assert "partition 1: 7 records were deleted by retention before they were read" in caplog.text
        without = call[:5] + call[12:]
        assert heard_of(installation, without) == alone(without)


def test_an_offset_that_goes_out_of_range_while_it_is_read(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = consumers_made(monkeypatch)
    call = call_in(2)
    place = TopicPartition(installation.topics.call_audio.name, 2)
    with working(installation) as worker:
        made[0].seek(place, 1000)
        wait_for(lambda: "Kafka has lost its newest 1000 records" in caplog.text, "the worker to find out")
        installation.send(call)
        assert heard_of(installation, call) == alone(call)
        assert value(worker, "undertone_sessions_total") == 1


@pytest.mark.parametrize(
    ("committed", "audio", "has_history", "start", "kind", "records"),
    [
        (None, range(0), False, 0, None, 0),
        (None, range(100, 200), False, 100, None, 0),  # the first worker ever
        (None, range(100, 200), True, 100, "read_again", 100),
        (150, range(100, 200), True, 150, None, 0),
        (200, range(100, 200), True, 200, None, 0),
        (60, range(100, 200), True, 100, "lost", 40),
        (205, range(100, 200), True, 200, "truncated", 5),
    ],
)
def test_where_a_partition_is_read_from(
    committed: int | None, audio: range, has_history: bool, start: int, kind: str | None, records: int
) -> None:
    metrics, place = WorkerMetrics(), TopicPartition("call-audio", 0)
    assert start_offset(place, committed, audio, has_history, metrics) == start
    counted = {
        kind: metrics.registry.get_sample_value("undertone_offset_reset_records_total", {"kind": kind})
        for kind in ("lost", "read_again", "truncated")
    }
    assert counted == {"lost": None, "read_again": None, "truncated": None} | ({kind: records} if kind else {})


@pytest.mark.slow
def test_a_partition_that_has_no_place_for_its_state_waits_alone(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session, "_METADATA_MS", 500)
    old, new = call_in(1, PARTITIONS + 1), call_in(PARTITIONS, PARTITIONS + 1)
    with working(installation) as worker, admin(installation.settings) as client:
        client.create_partitions({installation.topics.call_audio.name: PARTITIONS + 1})
        wait_for(lambda: f"has no partition {PARTITIONS}: its calls wait" in caplog.text, "the worker to say so")
        grown = f"has {PARTITIONS + 1} partitions now, and had {PARTITIONS}"
        wait_for(lambda: grown in caplog.text, "the worker to say what becomes of running calls")
        installation.send(new)
        installation.send(old)
        assert heard_of(installation, old) == alone(old)
        assert raise_partitions(client, installation.topics) == PARTITIONS + 1
        assert heard_of(installation, old, new) == alone(old, new)
        assert value(worker, "undertone_sessions_total") == 1

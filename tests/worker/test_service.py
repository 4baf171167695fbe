"""The worker as a service, in this process: models, idle calls, the engine's own failures, what it tells over HTTP."""

from collections.abc import Callable
from contextlib import closing

import pytest
from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from schemas.audio import AudioChunk
from schemas.errors import UserError
from tests.support.installation import Installation, interleave, wait_for
from tests.support.service import bundle_of, get, publish_model, starting, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from undertone.messaging.clients import transactional_producer
from undertone.messaging.settings import KafkaSettings
from undertone.observability.telemetry import Telemetry
from worker.service import Worker
from worker.settings import WorkerSettings


def test_a_worker_is_ready_before_it_waits_for_audio(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.loop._POLL_MS", 120_000)
    with starting(installation) as (worker, ready):
        assert ready.wait(60)
        worker.stop()
        installation.send(cut(*customer(), 4000)[:1])  # the poll ends


def test_a_published_model_is_taken_up_between_utterances(installation: Installation) -> None:
    shipped = Model.load().card.version
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    with working(installation) as worker:
        installation.send(chunks[:9])
        wait_for(lambda: value(worker, "undertone_events_total", type="update") > 0, "the first utterance")
        publish_model(installation, "broken", b"no bundle")
        publish_model(installation, "next-1", bundle_of("next-1"))
        wait_for(lambda: value(worker, "undertone_model_info", version="next-1") > 0, "the new model")
        installation.send(chunks[9:])
        events = installation.events(len(hear(Engine(Model.load()), chunks)))
        (letter,) = installation.dead_letters(1)
    utterances: dict[int, set[str]] = {}
    for event in events:
        if event.data.type != "summary":
            utterances.setdefault(event.data.start_sample, set()).add(event.data.model_version)
    first, *others = (utterances[start] for start in sorted(utterances))
    assert first == {shipped}
    assert others and all(versions == {"next-1"} for versions in others)
    assert dict(letter.headers)["undertone_reason"] == b"invalid_model"
    with working(installation) as worker:
        assert value(worker, "undertone_model_info", version="next-1") > 0, "the newest at start"


def test_an_utterance_ends_with_its_model_after_a_restart(installation: Installation) -> None:
    publish_model(installation, "old", bundle_of("old"))
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    alone = hear(Engine(Model.load(bundle_of("old"))), chunks)
    with working(installation) as worker:
        installation.send(chunks[:9])
        wait_for(lambda: value(worker, "undertone_events_total", type="update") > 0, "the first utterance")
    publish_model(installation, "new", bundle_of("new"))
    with working(installation):
        installation.send(chunks[9:])
        events = installation.events(len(alone))
    first = min(event.data.start_sample for event in alone if event.data.type == "segment")
    begun = [event for event in alone if event.data.start_sample == first and event.data.type != "summary"]
    assert lines(events)[: len(begun)] == lines(begun)
    assert {event.data.model_version for event in events[len(begun) : -1]} == {"new"}


def test_a_call_whose_producer_has_died_gets_its_summary(installation: Installation) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2, end=False)
    with working(installation, idle_seconds=2):
        installation.send(chunks)
        expected = len(hear(Engine(Model.load()), chunks)) + 1
        events = installation.events(expected)
    assert events[-1].data.type == "summary"
    assert events[-1].data.ended_by == "idle"
    with working(installation) as worker:
        assert worker.metrics.registry.get_sample_value("undertone_open_streams") == 0


def test_a_chunk_on_which_the_engine_fails_is_one_dead_letter(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, rate = customer()
    good, bad = (cut(samples, rate, rate // 2, call_id=name) for name in ("good", "bad"))
    feed: Callable[[Engine, list[AudioChunk]], FeedResult] = Engine.feed

    def failing(engine: Engine, chunks: list[AudioChunk]) -> FeedResult:
        result = feed(engine, chunks)
        if any(chunk.call_id == "bad" and chunk.sequence == 7 for chunk in chunks):
            raise RuntimeError("a bug")
        return result

    alone = lines(hear(Engine(Model.load()), good))
    without = lines(hear(Engine(Model.load()), bad[:7] + bad[8:]))
    monkeypatch.setattr(Engine, "feed", failing)
    installation.send(interleave(good, bad))
    with working(installation):
        (letter,) = installation.dead_letters(1)
        events = installation.events(len(alone) + len(without))
    assert dict(letter.headers)["undertone_reason"] == b"processing_failed"
    assert b"a bug" in dict(letter.headers)["undertone_detail"]
    assert letter.value == bad[7].audio
    assert lines(event for event in events if event.data.call_id == "good") == alone
    assert lines(event for event in events if event.data.call_id == "bad") == without


def test_what_it_tells_over_http(installation: Installation) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    with (
        working(installation) as worker,
        Telemetry("127.0.0.1", 0, worker.metrics.registry, worker.health) as telemetry,
    ):
        installation.send(chunks)
        installation.events(len(hear(Engine(Model.load()), chunks)))
        wait_for(lambda: value(worker, "undertone_events_total", type="summary") == 1, "the count of the commit")
        url = f"http://127.0.0.1:{telemetry.port}"
        text = get(f"{url}/metrics")[1]
        assert f"undertone_chunks_total {len(chunks)}.0" in text
        assert 'undertone_events_total{type="summary"} 1.0' in text
        assert get(f"{url}/healthz") == (200, "alive\n")
        assert get(f"{url}/readyz") == (200, "ready\n")
        assert get(f"{url}/other")[0] == 404
        with pytest.raises(UserError, match=f"{telemetry.port}.*--metrics-port"):
            Telemetry("127.0.0.1", telemetry.port, worker.metrics.registry, worker.health)
        worker.health.ready = False
        assert get(f"{url}/readyz")[0] == 503
        worker.health.limit_s = 0
        assert get(f"{url}/healthz")[0] == 503


def test_what_is_missing_is_said_in_one_line(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(UserError, match="run `undertone topics`"):
        Worker(kafka_settings, WorkerSettings.load()).run(lambda _: None)
    with pytest.raises(UserError, match=r"instance-id.*letters"):
        WorkerSettings.load(instance_id="no spaces")


def test_offsets_that_are_held_back_are_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("worker.assignment._PATIENCE_S", 1.0)
    group = f"{installation.settings.topic_prefix}undertone-workers"
    partition = TopicPartition(installation.topics.call_audio.name, 0)
    with closing(transactional_producer(installation.settings, "someone-else")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send_offsets_to_transaction({partition: OffsetAndMetadata(0)}, ConsumerGroupMetadata(group))
        with starting(installation) as (_, ready):
            wait_for(lambda: "held their offsets back" in caplog.text, "the worker to say why it waits")
            assert not ready.is_set()
            producer.abort_transaction()
            assert ready.wait(90)


def test_a_worker_whose_producer_is_fenced_begins_anew_from_what_is_committed(installation: Installation) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    expected = lines(hear(Engine(Model.load()), chunks))
    with working(installation) as worker:
        installation.send(chunks[:20])
        wait_for(lambda: value(worker, "undertone_chunks_total") == 20, "the first chunks")
        name = f"{installation.settings.topic_prefix}undertone-worker-here"
        with closing(transactional_producer(installation.settings, name)) as newer:
            newer.init_transactions()
        installation.send(chunks[20:])
        assert lines(installation.events(len(expected))) == expected
        # It may not write with the state that it had: it has joined again, and restored.
        assert value(worker, "undertone_sessions_total") == 2
        assert value(worker, "undertone_restored_streams_total") == 1

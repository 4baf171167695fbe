"""Calls begin after the earlier calls of their name, whatever became of the clock in between."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import TopicAuthorizationFailedError
from rich.console import Console

from producer.service import produce
from producer.start_times import StartTimes
from schemas.errors import UserError
from schemas.events import Summary
from schemas.topics import Topics
from tests.producer.recordings import PHONE, request, sent
from tests.support.installation import Installation
from tests.support.streams import customer, cut
from undertone.messaging.reading import UnfinishedRead
from undertone.messaging.settings import KafkaSettings

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def record(start: datetime, came: datetime, by_broker: int = 1, **changes: Any) -> ConsumerRecord:
    (chunk, *_) = cut(*customer(), 4000, start=start)
    fields = {
        "key": chunk.stream.encode(),
        "value": chunk.audio,
        "headers": chunk.headers(),
        "timestamp": int(came.timestamp() * 1000),
        "timestamp_type": by_broker,
    }
    return ConsumerRecord(**dict.fromkeys(ConsumerRecord._fields) | fields | changes)


def begins(*records: ConsumerRecord, said: list[str] | None = None) -> StartTimes:
    times = StartTimes((said if said is not None else []).append, now=lambda: NOW)
    times.learn(records, {"call", "other"})
    return times


def test_a_call_begins_now() -> None:
    said: list[str] = []
    earlier = NOW - 60 * SECOND
    assert begins(said=said).begin(["call"]) == NOW
    assert begins(record(earlier, earlier), said=said).begin(["call"]) == NOW
    assert said == []


def test_a_call_begins_after_an_earlier_one_of_its_name_that_began_by_a_clock_ahead() -> None:
    said: list[str] = []
    times = begins(record(NOW + 300 * SECOND, NOW - SECOND), said=said)
    assert times.begin(["other"]) == NOW
    assert said == []
    assert NOW + 300 * SECOND < times.begin(["other", "call"]) < NOW + 301 * SECOND
    assert said == [
        "this machine's clock is 300 s behind what is in Kafka: call other begins at 2026-05-01 12:05:00 UTC"
    ]


def test_a_call_begins_by_the_brokers_clock_where_ours_is_behind() -> None:
    came = NOW + 5 * 3600 * SECOND
    assert begins(record(came - SECOND, came)).begin(["other"]) == came
    # A time that a producer has written says nothing of the broker's clock.
    assert begins(record(NOW, came, by_broker=0)).begin(["other"]) == NOW


def test_a_start_that_cannot_be_is_refused_in_one_line() -> None:
    times = begins(record(NOW + 7200 * SECOND, NOW))
    with pytest.raises(UserError, match=r"call call began in Kafka at 2026-05-01 14:00:00 UTC, 2 h ahead of the clock"):
        times.begin(["call"])


def test_what_is_no_chunk_began_nothing() -> None:
    later = NOW + 60 * SECOND
    assert begins(record(later, NOW, headers=[]), record(later, NOW, key=None)).begin(["call"]) == NOW


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TopicAuthorizationFailedError("call-audio"), "call-audio may not be read: "),
        (UnfinishedRead(), "call-audio was not read within 10 s: "),
    ],
)
def test_where_nothing_can_be_seen_the_call_begins_now_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    def unreadable(*_: object) -> Iterator[ConsumerRecord]:
        raise error
        yield

    monkeypatch.setattr("producer.start_times._newest", unreadable)
    said: list[str] = []
    times = StartTimes.of(KafkaSettings(), "call-audio", ["call"], said.append)
    assert times.begin(["call"]) <= datetime.now(UTC)
    assert [line.startswith(told) for line in said] == [True]


@pytest.mark.slow
def test_a_call_that_comes_again_after_the_clock_was_set_back_is_heard(
    installation: Installation, kafka_settings: KafkaSettings, topics: Topics, capsys: pytest.CaptureFixture[str]
) -> None:
    start = datetime.now(UTC) + 300 * SECOND  # as by a clock that was ahead
    earlier = cut(*customer(), 4000, call_id="phone", start=start)[:5]
    installation.send(earlier)
    assert produce(request(PHONE), kafka_settings, Console()) == 0
    assert "s behind what is in Kafka: call phone begins at" in capsys.readouterr().out
    assert sent(kafka_settings, topics)["phone/customer"][-1].start_time > start
    installation.worker().ready()
    summaries = [event.data for event in installation.events(3) if isinstance(event.data, Summary)]
    assert [summary.ended_by for summary in summaries] == ["replaced", "end"]

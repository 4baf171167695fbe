"""`undertone tail` on a real Kafka: committed events only, exactly up to the end, one JSON line each."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.events import EventEnvelope, Segment, Summary, Update, event_line
from schemas.topics import Topics
from undertone.console.rows import row, stream_time
from undertone.messaging.clients import idempotent_producer, transactional_producer
from undertone.messaging.settings import KafkaSettings

UNDERTONE = [str(Path(sys.executable).with_name("undertone"))]
START = datetime(2026, 5, 1, tzinfo=UTC)


def update(call_id: str, end_s: float) -> Update:
    return Update(
        call_id=call_id,
        channel="customer",
        role="customer",
        start_sample=4000,
        end_sample=int(end_s * 8000),
        sample_rate=8000,
        label="angry",
        probabilities={"angry": 0.75, "calm": 0.25},
        speech_s=end_s - 0.5,
        level_dbfs=-21.5,
        pitch_hz=212.0,
        model_version="test-1",
    )


def publish(settings: KafkaSettings, topics: Topics, batches: list[tuple[list[Update], bool]]) -> None:
    """Each batch in one transaction, which is committed or aborted."""
    producer = transactional_producer(settings, f"{settings.topic_prefix}publisher")
    producer.init_transactions()
    for events, commit in batches:
        producer.begin_transaction()
        for event in events:
            envelope = EventEnvelope.around(event, START)
            producer.send(
                topics.emotion_events.name, key=envelope.subject.encode(), value=envelope.model_dump_json().encode()
            )
        if commit:
            producer.commit_transaction()
        else:
            producer.flush()
            producer.abort_transaction()
    producer.close()


def tail(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNDERTONE, "tail", "--until-end", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_until_end_prints_what_was_committed_and_ends(
    kafka_settings: KafkaSettings, kafka_environment: dict[str, str], topics: Topics
) -> None:
    calls = [f"call-{i}" for i in range(6)]
    first = [update(call_id, 1.0) for call_id in calls]
    lost = [update(call_id, 1.5) for call_id in calls]
    second = [update(call_id, 2.0) for call_id in calls]
    # The last thing in every partition is an aborted record and its marker: no event stands at the topic's end.
    publish(kafka_settings, topics, [(first, True), (lost, False), (second, True), (lost, False)])
    done = tail(kafka_environment, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(event_line(event) for event in first + second)
    # A stream keeps its order.
    mine = [line for line in map(json.loads, done.stdout.splitlines()) if line["call_id"] == "call-3"]
    assert [line["end_sample"] for line in mine] == [8000, 16000]
    one = tail(kafka_environment, "--format", "jsonl", "--call-id", "call-3")
    assert one.stdout.splitlines() == [event_line(first[3]), event_line(second[3])]
    assert tail(kafka_environment, "--format", "jsonl", "--from", "now").stdout == ""


def test_an_empty_topic_ends_at_once(kafka_environment: dict[str, str], topics: Topics) -> None:
    done = tail(kafka_environment, "--format", "jsonl")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_no_event_is_one_warning(
    kafka_settings: KafkaSettings, kafka_environment: dict[str, str], topics: Topics
) -> None:
    good = update("good", 1.0)
    with idempotent_producer(kafka_settings) as producer:
        name = topics.emotion_events.name
        whole = EventEnvelope.around(good, START).model_dump_json().encode()
        for value in (b"", b"{", b"\xff\xfe", b"[1, 2]", whole.replace(b"0.75", b'"much"'), None, whole):
            producer.send(name, key=b"k", value=value)
    done = tail(kafka_environment, "--format", "jsonl")
    assert done.returncode == 0
    assert done.stdout == event_line(good) + "\n"
    warnings = done.stderr.splitlines()
    assert len(warnings) == 6
    assert all(line.startswith("warning: no emotion event at ") and "offset" in line for line in warnings)


def test_following_prints_at_once_and_survives_a_closed_pipe(
    kafka_settings: KafkaSettings, kafka_environment: dict[str, str], topics: Topics
) -> None:
    process = subprocess.Popen(
        [*UNDERTONE, "tail", "--format", "jsonl"],
        env=kafka_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stderr
        publish(kafka_settings, topics, [([update("one", 1.0)], True)])
        # The pipe would keep the line back for good if it were not flushed.
        assert json.loads(process.stdout.readline())["call_id"] == "one"
        process.stdout.close()
        publish(kafka_settings, topics, [([update("two", 1.0)], True)])
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()


def test_the_table_has_a_row_per_event(
    kafka_settings: KafkaSettings, kafka_environment: dict[str, str], topics: Topics
) -> None:
    publish(kafka_settings, topics, [([update("desk", 1.0), update("desk", 1.5)], True)])
    done = tail(kafka_environment)
    assert done.returncode == 0
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == [
        "from",
        "to",
        "stream",
        "type",
        "label",
        "probability",
        "level",
        "pitch",
        "group",
        "arousal",
    ]
    assert [line.split()[:5] for line in rows] == [
        ["00:00.5", f"00:{end}", "desk/customer", "update", "angry"] for end in ("01.0", "01.5")
    ]
    assert "0.75" in rows[0]


def test_rows_of_every_kind_of_event() -> None:
    speech = update("x", 2.0).model_dump(exclude={"type"})
    silent = speech | {"probabilities": {}, "label": "no-speech", "level_dbfs": None, "pitch_hz": None}
    segment = row(Segment(**speech, ended_by="silence")).plain
    assert segment.split()[:7] == ["00:00.5", "00:02.0", "x/customer", "segment", "angry", "0.75", "━━━━━━━╸"]
    judged = speech | {"group": "negative", "arousal": 0.5, "valence": -0.2}
    assert row(Segment(**judged, ended_by="silence")).plain.split()[-2:] == ["negative", "+0.50"]
    summary = row(Summary(**silent, ended_by="end", segments=0)).plain
    assert summary.split() == ["00:00.5", "00:02.0", "x/customer", "summary", "no-speech"]


@pytest.mark.parametrize(
    ("sample", "text"), [(0, "00:00.0"), (8000 * 60 - 1, "00:59.9"), (8000 * 3661, "1:01:01.0"), (8000, "00:01.0")]
)
def test_stream_time(sample: int, text: str) -> None:
    assert stream_time(sample, 8000) == text

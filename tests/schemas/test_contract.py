"""The documents that other languages work from: fresh, valid, and true of the messages that we write."""

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from schemas.asyncapi import asyncapi
from schemas.audio import AudioChunk, Encoding, Role
from schemas.card import ModelCard
from schemas.dead_letters import DeadLetter, Reason
from schemas.documents import DOCS, MESSAGES, json_schema, stale
from schemas.events import (
    STRUCTURED_HEADERS,
    AudioSpan,
    EventEnvelope,
    Segment,
    Summary,
    Update,
    event_line,
)
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics

START = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
HEARD = {
    "call_id": "call-7",
    "channel": "customer",
    "role": Role.CUSTOMER,
    "start_sample": 8000,
    "end_sample": 20000,
    "sample_rate": 8000,
    "label": "angry",
    "probabilities": {"angry": 0.75, "neutral": 0.25},
    "speech_s": 1.2,
    "level_dbfs": -23.5,
    "pitch_hz": 181.0,
    "model_version": "small-1",
    "audio": AudioSpan(topic="call-audio", partition=3, first_offset=17, last_offset=20),
}
SILENCE = HEARD | {"label": "no-speech", "probabilities": {}, "speech_s": 0, "level_dbfs": None, "pitch_hz": None}
EVENTS: dict[str, Update | Segment | Summary] = {
    "update": Update.model_validate(HEARD),
    "segment": Segment.model_validate(HEARD | {"ended_by": "silence"}),
    "summary": Summary.model_validate(HEARD | {"ended_by": "end", "segments": 2}),
    "silent-summary": Summary.model_validate(SILENCE | {"ended_by": "idle", "segments": 0, "audio": None}),
}
LABEL = LabelEnvelope(
    id="l-1",
    source="/console",
    subject="call-7/customer",
    time=START,
    data=EmotionLabel(call_id="call-7", channel="customer", emotion="sad", labelled_by="ann", event_id="0" * 32),
)


def chunk(**changes: object) -> AudioChunk:
    fields = {
        "call_id": "call-7",
        "channel": "customer",
        "role": Role.CUSTOMER,
        "sequence": 0,
        "first_sample": 0,
        "start_time": START,
        "encoding": Encoding.L16,
        "sample_rate": 8000,
        "audio": b"\x00\x01" * 400,
    }
    return AudioChunk.model_validate(fields | changes)


def check(name: str, instance: object) -> None:
    jsonschema.Draft202012Validator(json_schema(name)).validate(instance)


def texts(headers: list[tuple[str, bytes]]) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


def test_documents_are_fresh() -> None:
    assert stale() == [], "run `python -m schemas.documents` and commit docs/reference/"


def test_stale_missing_and_stray_documents_are_named(tmp_path: Path) -> None:
    for name in (*(f"schemas/{message}.json" for message in MESSAGES), "asyncapi.json", "schemas/gone.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((DOCS / name).read_bytes() if (DOCS / name).exists() else b"{}")
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "schemas/emotion-event.json").unlink()
    assert stale(tmp_path) == ["schemas/emotion-event.json", "asyncapi.json", "schemas/gone.json"]


@pytest.mark.parametrize("name", MESSAGES)
def test_json_schemas_are_valid_and_need_no_other_file(name: str) -> None:
    schema = json_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert all(ref.startswith("#/$defs/") for ref in references(schema))


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("end", [False, True])
def test_chunk_headers_follow_their_schema(encoding: Encoding, end: bool) -> None:
    check("audio-chunk-headers", texts(chunk(encoding=encoding, end_of_stream=end).headers()))


@pytest.mark.parametrize("name", EVENTS)
def test_events_follow_their_schema(name: str) -> None:
    envelope = EventEnvelope.around(EVENTS[name], START)
    check("emotion-event", json.loads(envelope.model_dump_json()))
    check("structured-headers", texts(STRUCTURED_HEADERS))


def test_event_without_a_promised_field_breaks_the_schema() -> None:
    whole = json.loads(EventEnvelope.around(EVENTS["segment"], START).model_dump_json())
    for name in whole["data"]:
        data = {key: value for key, value in whole["data"].items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            check("emotion-event", whole | {"data": data})


def test_labels_letters_and_cards_follow_their_schemas() -> None:
    check("emotion-label", json.loads(LABEL.model_dump_json()))
    letter = DeadLetter(
        reason=Reason.EMPTY, detail="-", topic="call-audio", partition=0, offset=1, service="worker", version="0.1.0"
    )
    check("dead-letter-headers", texts(letter.headers()))
    card = ModelCard.model_validate(
        {
            "name": "small",
            "version": "small-1",
            "created": START,
            "labels": ["angry", "neutral"],
            "network": {"sha256": "0" * 64, "size": 10, "state_size": 4, "parameters": 7},
        }
    )
    check("model-card", json.loads(card.model_dump_json()))


@pytest.mark.parametrize("audio", [b"\xff\x00" * 400, b"", b"text, too"])
def test_chunks_survive_the_cloudevents_sdk_in_binary_mode(audio: bytes) -> None:
    ours = chunk(audio=audio[: len(audio) // 2 * 2], end_of_stream=True, sequence=4, first_sample=1600)
    message = KafkaMessage(headers=dict(ours.headers()), key=ours.stream.encode(), value=ours.audio)
    event = from_kafka_event(message)
    assert (event.get_type(), event.get_subject()) == ("undertone.audio.chunk.v1", "call-7/customer")
    assert event.get_extension("firstsample") == "1600"
    back = to_binary_event(event)
    value = back.value.encode() if isinstance(back.value, str) else back.value
    assert AudioChunk.from_record(ours.stream.encode(), value, back.headers.items()) == ours


def test_a_foreign_producer_writes_chunks_with_the_cloudevents_sdk() -> None:
    attributes = {
        "id": "1",
        "source": "/pbx",
        "type": "undertone.audio.chunk.v1",
        "datacontenttype": "audio/PCMU",
        "role": "customer",
        "sequence": "0",
        "firstsample": "0",
        "starttime": "2026-03-01T10:30:00+01:00",
        "partitionkey": "call-7/customer",
    }
    message = to_binary_event(CloudEvent(attributes, b"\xff" * 160))
    read = AudioChunk.from_record(str(message.key).encode(), message.value, message.headers.items())
    assert read == chunk(encoding=Encoding.PCMU, audio=b"\xff" * 160)


@pytest.mark.parametrize("name", EVENTS)
def test_events_survive_the_cloudevents_sdk_in_structured_mode(name: str) -> None:
    ours = EventEnvelope.around(EVENTS[name], START)
    message = KafkaMessage(dict(STRUCTURED_HEADERS), ours.subject.encode(), ours.model_dump_json().encode())
    event = from_kafka_event(message)
    assert event.get_data() == json.loads(event_line(EVENTS[name]))
    assert EventEnvelope.model_validate_json(to_structured_event(event).value) == ours


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for item in node for ref in references(item)] if isinstance(node, list) else []


def resolve(document: dict, ref: str) -> dict:
    node = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_asyncapi_refers_to_what_it_holds() -> None:
    document = asyncapi()
    assert references(document)
    for ref in references(document):
        assert resolve(document, ref), ref
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft7Validator.check_schema(schema)
        # AsyncAPI's discriminator is a property's name; OpenAPI's object in its place makes parsers refuse the page.
        assert "discriminator" not in json.dumps(schema), name


def test_asyncapi_has_a_channel_and_an_operation_for_each_topic() -> None:
    document, topics = asyncapi(), Topics()
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert list(document["channels"]) == [topic.name for topic in topics.all]
    used = set()
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolve(document, operation["channel"]["$ref"])
        used.add(channel["address"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
    assert used == {topic.name for topic in topics.all}


def test_asyncapi_pairs_topics_and_messages_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    in_order = asyncapi()["channels"]
    backwards = Topics().all[::-1]
    monkeypatch.setattr(Topics, "all", backwards)
    channels = asyncapi()["channels"]
    assert list(channels) == [topic.name for topic in backwards]
    assert channels == in_order
    assert {name: list(channel["messages"]) for name, channel in channels.items()} == {
        "call-audio": ["audioChunk"],
        "emotion-events": ["emotionEvent"],
        "emotion-labels": ["emotionLabel"],
        "models": ["modelBundle", "modelAlias"],
        "worker-state": ["workerState"],
        "dead-letters": ["deadLetter"],
    }


def test_asyncapi_says_how_topics_are_configured() -> None:
    document = asyncapi(partitions=8)
    for topic in Topics().all:
        kafka = document["channels"][topic.name]["bindings"]["kafka"]
        assert kafka["partitions"] == (topic.partitions or 8)
        assert kafka["topicConfiguration"]["cleanup.policy"] == [topic.cleanup_policy]
        assert kafka["topicConfiguration"]["max.message.bytes"] == topic.max_message_bytes

"""The AsyncAPI 3 document: channels, messages and operations, made from the topics and the message models."""

import importlib.metadata
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.aliases import Alias, AliasRecord
from schemas.audio import MAX_CHUNK_BYTES
from schemas.card import ModelCard
from schemas.events import EventEnvelope
from schemas.headers import ChunkHeaders, DeadLetterHeaders, StructuredHeaders
from schemas.labels import LabelEnvelope
from schemas.topics import Topic, Topics

KAFKA_BINDING = "0.5.0"
STREAM_KEY = {
    "type": "string",
    "description": "The stream, `call_id/channel`: one speaker's side of one call.",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,127}/[A-Za-z0-9][A-Za-z0-9._:@+-]{0,31}$",
}
BYTES = {"type": "string", "format": "binary"}
_SCHEMAS = "#/components/schemas/"

# Name -> what it says and what it consists of. Order is that of the document.
_MESSAGES: dict[str, dict[str, Any]] = {
    "audioChunk": {
        "summary": "One chunk of one stream's audio, CloudEvents 1.0 in binary mode.",
        "contentType": "audio/L16",
        "headers": {"$ref": f"{_SCHEMAS}ChunkHeaders"},
        "payload": BYTES
        | {"maxLength": MAX_CHUNK_BYTES, "description": "Samples, as the content-type header says; at most 10 s."},
        "bindings": {"key": STREAM_KEY},
    },
    "emotionEvent": {
        "summary": "Emotion events, CloudEvents 1.0 in structured JSON.",
        "contentType": "application/cloudevents+json",
        "headers": {"$ref": f"{_SCHEMAS}StructuredHeaders"},
        "payload": {"$ref": f"{_SCHEMAS}EventEnvelope"},
        "bindings": {"key": STREAM_KEY},
    },
    "emotionLabel": {
        "summary": "What a person says the emotion was, CloudEvents 1.0 in structured JSON.",
        "contentType": "application/cloudevents+json",
        "headers": {"$ref": f"{_SCHEMAS}StructuredHeaders"},
        "payload": {"$ref": f"{_SCHEMAS}LabelEnvelope"},
        "bindings": {"key": STREAM_KEY},
    },
    "modelBundle": {
        "summary": "A bundle: a zip with card.json (schema ModelCard) and model.tflite.",
        "contentType": "application/zip",
        "payload": BYTES,
        "bindings": {"key": {"type": "string", "description": "The model's version."}},
    },
    "modelAlias": {
        "summary": "Which version is in use, which is on trial, which was in use before; a null value withdraws it.",
        "contentType": "application/json",
        "payload": {"$ref": f"{_SCHEMAS}AliasRecord"},
        "bindings": {"key": {"type": "string", "enum": [alias.key.decode() for alias in Alias]}},
    },
    "workerState": {
        "summary": "State of an open stream, internal to the workers; a null value says that the stream has ended.",
        "contentType": "application/octet-stream",
        "payload": BYTES,
        "bindings": {"key": STREAM_KEY},
    },
    "deadLetter": {
        "summary": "A message that could not be used: key, value and headers as they came, and headers that say why.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": f"{_SCHEMAS}DeadLetterHeaders"},
        "payload": BYTES,
        "bindings": {"key": {"description": "As it came; may be absent."}},
    },
}


def asyncapi(partitions: int = 8) -> dict[str, Any]:
    """The AsyncAPI 3.0 document for topics without prefix, as `undertone topics` creates them by default."""
    topics = Topics()
    messages = {
        topics.call_audio.name: ("audioChunk",),
        topics.emotion_events.name: ("emotionEvent",),
        topics.emotion_labels.name: ("emotionLabel",),
        topics.models.name: ("modelBundle", "modelAlias"),
        topics.worker_state.name: ("workerState",),
        topics.dead_letters.name: ("deadLetter",),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Undertone",
            "version": importlib.metadata.version("undertone"),
            "description": "Audio of live calls in, emotion events out. The rules in words: docs/reference/contract.md",
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {"local": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "`undertone broker`"}},
        "channels": {topic.name: _channel(topic, messages[topic.name], partitions) for topic in topics.all},
        "operations": _operations(topics, messages),
        "components": {
            "messages": {name: _message(name, parts) for name, parts in _MESSAGES.items()},
            "schemas": _schemas(),
        },
    }


def _channel(topic: Topic, messages: Sequence[str], partitions: int) -> dict[str, Any]:
    config: dict[str, Any] = dict(topic.kafka_config)
    config["cleanup.policy"] = [config["cleanup.policy"]]
    for name in ("retention.ms", "retention.bytes", "max.message.bytes"):
        if name in config:
            config[name] = int(config[name])
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions or partitions,
                "topicConfiguration": config,
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _message(name: str, parts: dict[str, Any]) -> dict[str, Any]:
    binding = parts["bindings"] | {"bindingVersion": KAFKA_BINDING}
    return {"name": name} | parts | {"bindings": {"kafka": binding}}


def _operations(topics: Topics, messages: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """What Undertone's own services do; `receive` means that Undertone reads what others write."""
    rows = (
        ("hearCall", "receive", topics.call_audio, "Workers listen to calls; any producer may write them."),
        ("reportEmotion", "send", topics.emotion_events, "Workers write emotion events, in Kafka transactions."),
        ("learnLabel", "receive", topics.emotion_labels, "The trainer learns from people's labels."),
        ("publishModel", "send", topics.models, "The trainer publishes a model that is better than the last."),
        ("takeUpModel", "receive", topics.models, "Workers take up a new model at a segment boundary."),
        ("saveState", "send", topics.worker_state, "Workers save their streams' state, in the same transactions."),
        ("restoreState", "receive", topics.worker_state, "A worker that gets a partition restores its streams."),
        ("setAside", "send", topics.dead_letters, "Services set aside what they cannot use."),
    )
    return {
        name: {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{topic.name}/messages/{message}"} for message in messages[topic.name]],
        }
        for name, action, topic, summary in rows
    }


def _schemas() -> dict[str, Any]:
    models: tuple[type[BaseModel], ...] = (
        ChunkHeaders,
        StructuredHeaders,
        EventEnvelope,
        LabelEnvelope,
        ModelCard,
        AliasRecord,
        DeadLetterHeaders,
    )
    _, definitions = models_json_schema(
        [(model, mode_of(model)) for model in models], ref_template=_SCHEMAS + "{model}"
    )
    schemas: dict[str, Any] = without_discriminator(definitions["$defs"])
    return schemas


def mode_of(model: type[BaseModel]) -> Any:
    """The side of a model that a client sees: what we write for events and headers, what we read for the rest."""
    return "validation" if model in (LabelEnvelope, ModelCard, AliasRecord, ChunkHeaders) else "serialization"


def without_discriminator(schema: Any) -> Any:
    """`schema` without OpenAPI's `discriminator` objects: JSON Schema ignores them, AsyncAPI wants a string there.

    Nothing is lost, for each alternative of a union holds a constant.
    """
    if isinstance(schema, dict):
        return {
            key: without_discriminator(value)
            for key, value in schema.items()
            if not (key == "discriminator" and "propertyName" in value)
        }
    return [without_discriminator(item) for item in schema] if isinstance(schema, list) else schema

"""Shares of labels, speech, level, and turns for the worse: what the worker counts of what it has heard."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic_core import to_json

from schemas.audio import Role
from schemas.events import WrittenEvent
from tests.support.streams import customer, cut
from undertone.inference.engine import Engine
from undertone.inference.intake import FeedResult
from undertone.inference.model import Model
from worker.emotion_metrics import EmotionMetrics

RATE = 8000


class Heard:
    """The metrics, and utterances that are counted into them."""

    def __init__(self, *queues: str) -> None:
        self.registry = CollectorRegistry()
        self.metrics = EmotionMetrics(self.registry, queues)
        self.metrics.begin_at_zero(["angry", "calm"])

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"undertone_{name}", {"role": "customer", **labels})

    def hear(self, *events: WrittenEvent) -> None:
        self.metrics.count([], [], FeedResult(written=list(events)))


@pytest.fixture
def heard() -> Heard:
    return Heard()


def said(label: str, group: str | None, start_s: float, end_s: float, **more: Any) -> WrittenEvent:
    """An utterance of one stream, in partition 3."""
    data: dict[str, Any] = {
        "type": "segment",
        "call_id": "call",
        "channel": "customer",
        "role": "customer",
        "start_sample": int(start_s * RATE),
        "end_sample": int(end_s * RATE),
        "sample_rate": RATE,
        "label": label,
        "group": group,
        "valence": None,
        "speech_s": end_s - start_s,
        "level_dbfs": -27.5,
        "audio": {"topic": "call-audio", "partition": 3, "first_offset": 1, "last_offset": 2},
    }
    fields = data | more
    stream = f"{fields['call_id']}/{fields['channel']}"
    return WrittenEvent(stream, fields["type"], to_json({"data": fields}), last=(3, 2))


def test_labels_are_counted_by_utterance_and_by_speech(heard: Heard) -> None:
    heard.hear(said("calm", "neutral", 0, 2), said("uncertain", "uncertain", 3, 4), said("calm", "neutral", 5, 8))
    assert heard.value("segments_total", label="calm") == 2
    assert heard.value("speech_seconds_total", label="calm") == 5
    assert heard.value("segments_total", label="uncertain") == 1
    assert heard.value("segments_total", label="angry") == 0, "an increase must show its first"
    assert heard.value("speech_level_dbfs_bucket", le="-25.0") == 3


def test_queues_are_told_apart_where_they_are_named() -> None:
    heard = Heard("sales-", "sales-eu-")
    assert heard.value("segments_total", label="calm", queue="sales-") == 0, "an increase must show its first"
    for call in ("sales-1", "sales-eu-1", "sales-eu-2", "support-1"):
        heard.hear(said("calm", "neutral", 0, 2, call_id=call), said("angry", "negative", 3, 15, call_id=call))
    counted = {
        queue: heard.value("segments_total", label="calm", queue=queue) for queue in ("sales-", "sales-eu-", "other")
    }
    assert counted == {"sales-": 1, "sales-eu-": 2, "other": 1}
    assert heard.value("speech_seconds_total", label="angry", queue="sales-eu-") == 24
    assert heard.value("turns_for_the_worse_total", queue="sales-eu-") == 2
    assert heard.value("lasting_displeasure_streams", queue="sales-eu-") == 2
    samples, rate = customer()
    heard.metrics.count(cut(samples, rate, rate, call_id="sales-eu-1"), [], FeedResult())
    assert heard.value("audio_seconds_total", queue="sales-eu-") == pytest.approx(len(samples) / rate)


def test_a_turn_for_the_worse_is_displeasure_after_something_else(heard: Heard) -> None:
    heard.hear(said("angry", "negative", 0, 2))
    assert heard.value("turns_for_the_worse_total") == 0, "it began so"
    heard.hear(said("calm", "neutral", 3, 4), said("uncertain", "uncertain", 5, 6), said("angry", "negative", 7, 8))
    assert heard.value("turns_for_the_worse_total") == 1
    heard.hear(said("angry", "negative", 9, 10))
    assert heard.value("turns_for_the_worse_total") == 1


def test_a_model_without_groups_is_told_by_valence(heard: Heard) -> None:
    heard.hear(said("calm", None, 0, 2, valence=0.4), said("angry", None, 3, 4, valence=-0.6))
    assert heard.value("turns_for_the_worse_total") == 1


def test_displeasure_lasts_from_its_first_utterance_to_the_next_of_another_kind(heard: Heard) -> None:
    heard.hear(said("angry", "negative", 0, 4), said("uncertain", "uncertain", 5, 6))
    assert heard.value("lasting_displeasure_streams") == 0
    heard.hear(said("sad", "negative", 8, 11))
    assert heard.value("lasting_displeasure_streams") == 1
    heard.hear(said("calm", "neutral", 12, 14))
    assert heard.value("lasting_displeasure_streams") == 0
    heard.hear(said("angry", "negative", 15, 16))
    assert heard.value("lasting_displeasure_streams") == 0, "it began anew"


@pytest.mark.parametrize("how", ["the call ends", "its partition leaves"])
def test_a_stream_that_is_gone_is_in_no_displeasure(heard: Heard, how: str) -> None:
    heard.hear(said("angry", "negative", 0, 12))
    assert heard.value("lasting_displeasure_streams") == 1
    if how == "the call ends":
        heard.hear(said("angry", "negative", 0, 12, type="summary"))
    else:
        heard.metrics.forget_partition(3)
    assert heard.value("lasting_displeasure_streams") == 0


def test_the_speech_that_is_counted_is_that_of_the_segments(heard: Heard) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2, partition=0)
    agents = cut(samples, rate, rate // 2, role=Role.AGENT, partition=0)
    result = Engine(Model.load()).feed([*chunks, *agents])
    assert result.skipped == len(agents)
    heard.metrics.count([*chunks, *agents], [], result)
    spoken = [event.data for event in result.written if event.kind == "segment"]
    samples_told = [sample for metric in heard.registry.collect() for sample in metric.samples]
    told = sum(sample.value for sample in samples_told if sample.name == "undertone_speech_seconds_total")
    assert told == pytest.approx(sum(it["speech_s"] for it in spoken))
    assert heard.value("audio_seconds_total") == pytest.approx(len(samples) / rate)
    assert heard.registry.get_sample_value("undertone_audio_seconds_total", {"role": "agent"}) is None

"""From an utterance that was heard to a label, by the command line and by Label Studio."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from typer.testing import CliRunner

from schemas.errors import UserError
from schemas.events import EventEnvelope, Segment
from schemas.labels import EmotionLabel
from schemas.topics import Topics
from tests.support.labels import Send
from tests.support.voices import RATE
from trainer.collection.dataset import Dataset
from trainer.collection.entry import Entry
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.service import CollectorService
from trainer.collection.settings import TrainerSettings
from trainer.labelling.heard import Utterance, standing
from trainer.labelling.label_studio import TASKS, read_annotations
from trainer.labelling.sending import send as send_labels
from trainer.labelling.suggestions import suggest, suggested
from undertone.cli.main import app
from undertone.messaging.settings import KafkaSettings


@pytest.fixture
def undertone(kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command on the test's Kafka; what it prints."""
    monkeypatch.setenv("UNDERTONE_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("UNDERTONE_TOPIC_PREFIX", kafka_settings.topic_prefix)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        if result.exception:
            raise result.exception
        return result.output

    return run


def collected(settings: KafkaSettings, folder: Path) -> list[Entry]:
    dataset = Dataset.open(str(folder))
    CollectorService(settings, TrainerSettings(), dataset, CollectorMetrics()).run(lambda: None, until_end=True)
    return list(dataset.entries())


def test_an_utterance_is_suggested_listened_to_and_labelled(
    undertone: Any,
    kafka_settings: KafkaSettings,
    topics: Topics,
    call: NDArray[np.int16],
    segment: EventEnvelope,
    send: Send,
    tmp_path: Path,
) -> None:
    data = segment.data
    send(topics.emotion_events.name, [("c1/customer", b'{"no event": ".segment."}')])
    (line,) = undertone("labels", "suggest", "--format", "jsonl").splitlines()
    assert json.loads(line)["event_id"] == segment.id
    assert json.loads(line)["sound"] == f"undertone audio {segment.id} --output {segment.id}.wav"
    assert segment.id in undertone("labels", "suggest")
    (line,) = undertone("labels", "suggest", "--format", "jsonl", "--console", "http://localhost:8080/").splitlines()
    length = timedelta(seconds=(data.end_sample - data.start_sample) / RATE)
    began, ended = (round(moment.timestamp() * 1000) for moment in (segment.time - length, segment.time))
    address = f"http://localhost:8080/api/calls/c1/audio/customer.wav?from={began}&to={ended}"
    assert json.loads(line)["sound"] == address
    assert "c1/audio" in "".join(undertone("labels", "suggest", "--console", "http://localhost:8080").split())
    file = tmp_path / "heard.wav"
    assert "c1/customer" in undertone("audio", segment.id, "--output", str(file))
    samples, rate = soundfile.read(file, dtype="int16")
    assert rate == RATE
    assert np.array_equal(samples, call[data.start_sample : data.end_sample])
    middle = (data.start_sample + data.end_sample) / 2 / RATE
    said = undertone("label", "c1", "at ease", "--at", f"{middle}", "--by", "ann")
    assert said == f"c1/customer at {data.start_sample / RATE:.1f} s: {data.label} -> at ease\n"
    assert "at ease" in undertone("label", segment.id, "at ease", "--by", "bob")
    assert not suggested(kafka_settings, 10)
    assert undertone("labels", "suggest").startswith("nothing to label")
    entries = collected(kafka_settings, tmp_path / "labels")
    assert [entry.state for entry in entries] == ["collected", "collected"]
    label = entries[0].label
    assert label
    assert (label.data.emotion, label.data.labelled_by, label.data.event_id) == ("at ease", "ann", segment.id)
    assert entries[0].heard_by == data.model_version


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("label", "nobody", "cross"), "nobody: no utterance"),
        (("label", "c1", "cross", "--at", "999"), "at 999 s"),
        (("label", "c1", "cross", "--channel", "agent"), "of channel agent"),
        (("label", "c1", "CROSS!"), "emotion"),
        (("label", "c1", "uncertain"), "what a model says"),
        (("audio", "0" * 32, "--output", "x.wav"), "no utterance has the event id"),
        (("labels", "import", "nowhere.json"), "cannot be read"),
    ],
)
def test_mistakes_get_one_line(
    undertone: Any, segment: EventEnvelope, arguments: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(UserError, match=complaint) as raised:
        undertone(*arguments)
    assert "\n" not in str(raised.value)


def test_label_studio_gets_tasks_and_gives_labels(
    undertone: Any, kafka_settings: KafkaSettings, segment: EventEnvelope, tmp_path: Path
) -> None:
    folder = tmp_path / "studio"
    assert undertone("labels", "export", "--output", str(folder)) == f"1 tasks in {folder / TASKS}\n"
    (task,) = json.loads((folder / TASKS).read_text())
    assert task["data"]["audio"] == f"/data/local-files/?d={segment.id}.wav"
    assert soundfile.info(folder / f"{segment.id}.wav").samplerate == RATE
    (guess,) = task["predictions"][0]["result"]
    assert guess["value"]["choices"][0] in segment.data.probabilities
    export = tmp_path / "export.json"
    export.write_text(json.dumps([annotated(task, "Cross", 3), annotated(task, "mild", {"email": "ann@site.example"})]))
    labels = list(read_annotations(export, None))
    assert [(label.emotion, label.labelled_by) for label, _ in labels] == [
        ("cross", "label-studio:3"),
        ("mild", "ann@site.example"),
    ]
    assert labels[0][1] == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert undertone("labels", "import", str(export)) == "2 labels sent\n"
    entries = collected(kafka_settings, tmp_path / "labels")
    assert [entry.state for entry in entries] == ["collected", "collected"]
    assert [entry.label.time for entry in entries if entry.label] == [labels[0][1]] * 2
    export.write_text(json.dumps([annotated(task, "cross", 3) | {"data": {"audio": "x"}}]))
    with pytest.raises(UserError, match=r"export\.json, task 1"):
        list(read_annotations(export, None))
    export.write_text('{"a": 1}')
    with pytest.raises(UserError, match="list of tasks"):
        list(read_annotations(export, None))


def annotated(task: dict[str, Any], emotion: str, author: object) -> dict[str, Any]:
    """A task as Label Studio exports it, once somebody has labelled it and somebody has skipped it."""
    result = {"from_name": "emotion", "to_name": "audio", "type": "choices", "value": {"choices": [emotion]}}
    comment = {"from_name": "why", "to_name": "audio", "type": "textarea", "value": {"text": ["so"]}}
    done = {"completed_by": author, "result": [comment, result], "updated_at": "2026-03-01T12:00:00.000000Z"}
    skipped = {"completed_by": 9, "result": [], "was_cancelled": True}
    return {"id": 1, "annotations": [{"id": 1, "was_cancelled": False} | done, skipped]} | task


def utterance(segment: Segment, number: int, call: str, **probabilities: float) -> Utterance:
    changes = {"call_id": call, "start_sample": number * RATE, "end_sample": (number + 1) * RATE}
    said = segment.model_copy(update=changes | {"probabilities": probabilities})
    return Utterance(f"id-{number}", said, datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_the_least_sure_come_first_and_of_a_call_a_few(segment: EventEnvelope) -> None:
    assert isinstance(segment.data, Segment)
    sure = [utterance(segment.data, n, f"c{n}", calm=0.9, cross=0.06, glad=0.04) for n in range(20)]
    waver = [utterance(segment.data, 100 + n, "c100", calm=0.41, cross=0.4, glad=0.19) for n in range(5)]
    rare = utterance(segment.data, 200, "c200", calm=0.06, cross=0.9, glad=0.04)
    gone = utterance(segment.data, 300, "c300", calm=0.4, cross=0.4, glad=0.2)
    found = suggest([*sure, *waver, rare, gone], {("id-100", None), ("c100/customer", 101 * RATE)}, gone.__ne__, 6)
    ids = [one.utterance.id for one in found]
    assert ids[:4] == ["id-102", "id-103", "id-104", "id-200"]
    assert len(ids) == 6
    assert found[3].why == "cross 0.90, calm 0.06; cross is rare (3.7%)"


def test_what_everybody_has_taken_back_is_not_labelled() -> None:
    def said(by: str, start: int, withdrawn: bool = False) -> EmotionLabel:
        return EmotionLabel(
            call_id="c1", channel="customer", emotion="calm", labelled_by=by, event_id=f"e{start}",
            start_sample=start, end_sample=start + 8000, sample_rate=8000, withdrawn=withdrawn,
        )  # fmt: skip

    labels = [said("ann", 0), said("ann", 0, withdrawn=True), said("ann", 9), said("bob", 9)]
    labels += [said("bob", 9, withdrawn=True), said("eve", 20, withdrawn=True), said("ann", 30), said("ann", 30)]
    labels += [said("ann", 40), said("ann", 40, withdrawn=True), said("ann", 40)]
    assert {event for event, start in standing(labels) if start is None} == {"e9", "e30", "e40"}
    assert {start for _, start in standing(labels) if start is not None} == {9, 30, 40}


def test_labels_are_not_sent_where_there_is_no_topic(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(UserError, match="emotion-labels does not exist"):
        send_labels(kafka_settings, [])

"""From a wrong label to a better model: calls are heard, people label them, workers say what people said; and back."""

import json
import re
import signal
from pathlib import Path

import pytest

from schemas.events import EmotionEvent, EventEnvelope
from tests.support.installation import Installation, WorkerProcess, wait_for
from tests.support.labels import Send, label
from tests.support.service import get
from tests.trainer.rebuild.conftest import MOODS, call_of
from trainer.rebuild.runs import Runs
from undertone.messaging.settings import KafkaSettings
from undertone.registry import changes
from undertone.registry.contents import read_contents

PROGRAM = ("-c", "from undertone.cli.main import main; main()", "trainer")
CALLERS, TAKES = range(8), 3


def segments(installation: Installation, count: int) -> list[EventEnvelope]:
    """All utterances that were heard, once there are so many."""
    topic = installation.topics.emotion_events.name
    found = installation.records(topic, lambda records: sum(b'"segment"' in r.value for r in records) >= count)
    events = [EventEnvelope.model_validate_json(record.value) for record in found]
    return [event for event in events if event.data.type == "segment"]


def said_of(event: EventEnvelope) -> tuple[str, bytes]:
    """The label that a person gives an utterance: what it was made as."""
    data = event.data
    (truth,) = [
        mood for mood, start, end in call_of(int(data.call_id[5:]), TAKES)[1] if start <= data.start_sample < end
    ]
    names = ("start_sample", "end_sample", "sample_rate", "model_version")
    copied = {name: getattr(data, name) for name in names} | {"event_id": event.id}
    return label(truth, call_id=data.call_id, audio=data.audio.model_dump(), **copied) if data.audio else ("", b"")


def trainings(trainer: WorkerProcess) -> list[Path]:
    """The processes that a trainer has started."""
    return [path for path in Path("/proc").glob("[0-9]*") if _parent(path) == trainer.process.pid]


def _parent(process: Path) -> int:
    try:
        return int(re.findall(r"^PPid:\t(\d+)", (process / "status").read_text(), flags=re.M)[0])
    except (OSError, IndexError):  # it has ended
        return 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_people_label_is_what_workers_say_until_somebody_rolls_back(
    installation: Installation, kafka_settings: KafkaSettings, send: Send, tmp_path: Path
) -> None:
    out, shipped = tmp_path / "out", read_contents(kafka_settings).running
    count = len(CALLERS) * TAKES * len(MOODS)
    arguments = ("--out", str(out), "--epochs", "1", "--after-labels", str(count), "--accept-new-labels")

    def start() -> WorkerProcess:
        variables = {
            "trainer_metrics_port": 0,
            "trainer_lease_s": 15,
            "trainer_nice": 0,
            "cache_dir": tmp_path / "cache",
        }
        return installation.worker("t1", (*PROGRAM, *arguments), **variables)

    worker = installation.worker("w1").ready()
    trainer = start().ready()
    for caller in CALLERS:
        installation.send(call_of(caller, TAKES)[0])
    heard = segments(installation, count)
    assert {event.data.model_version for event in heard} == {shipped}
    send(installation.topics.emotion_labels.name, [said_of(event) for event in heard])

    # Killed while it trains: nothing of that counts, and it begins again by itself.
    wait_for(lambda: any(out.glob("runs/*/job.json")), "a training", said=trainer.last_words)
    children = trainings(trainer)
    trainer.kill()
    wait_for(lambda: not any((child / "exe").exists() for child in children), "the training's end")
    assert read_contents(kafka_settings).running == shipped
    trainer = start().ready()
    runs = Runs(out)
    wait_for(lambda: runs.last() is not None, "a decision", 900, trainer.last_words)
    decision = runs.last()
    assert decision
    assert decision.what == "published", decision.why
    assert decision.labels == count
    assert len(list(out.glob("runs/*"))) == 1
    registry = read_contents(kafka_settings)
    card = registry.in_use().card
    assert card
    assert (card.version, card.labels) == (decision.candidate, MOODS)
    assert card.lineage
    assert (card.lineage.parent, card.lineage.snapshot) == (shipped, decision.snapshot)
    assert card.lineage.started_from == shipped
    assert [entry.version for entry in registry.entries] == [shipped, card.version]

    (where,) = re.findall(r"metrics http://([\d.:]+)/metrics", trainer.output)
    assert get(f"http://{where}/readyz") == (200, "ready\n")
    metrics = get(f"http://{where}/metrics")[1]
    assert 'undertone_rebuild_runs_total{decision="published"} 1.0' in metrics
    assert re.search(r'undertone_rebuild_figure{check="new_emotions",model="candidate"} (1\.0|0\.[5-9])', metrics)
    report = next(out.glob("runs/*/report.html")).read_text(encoding="utf-8")
    assert "Every check that could be made was passed." in report
    assert json.loads(next(out.glob("runs/*/metrics.json")).read_text())["gate"]

    wait_for(lambda: f"model {card.version}, from" in worker.output, "the worker to have it", said=worker.last_words)
    said = of_new_call(installation, 8, count)
    assert {(data.model_version, data.label in (*MOODS, "uncertain")) for data in said} == {(card.version, True)}
    assert trainer.stop() == 0
    changes.rollback(kafka_settings, "ann")
    wait_for(lambda: f"model {shipped}, the one that ships" in worker.output, "it to go back", said=worker.last_words)
    said = of_new_call(installation, 9, count + len(said))
    assert {data.model_version for data in said} == {shipped}


def of_new_call(installation: Installation, caller: int, before: int) -> list[EmotionEvent]:
    """What is said of the utterances of one more call; `before` is how many there have been."""
    installation.send(call_of(caller, 1)[0])
    events = [event.data for event in segments(installation, before + len(MOODS))]
    return [data for data in events if data.call_id == f"call-{caller}"]


def test_a_signal_asks_for_a_rebuild_and_a_second_one_ends(installation: Installation, tmp_path: Path) -> None:
    variables = {"trainer_metrics_port": 0, "trainer_lease_s": 15}
    trainer = installation.worker("t1", (*PROGRAM, "--out", str(tmp_path / "out")), **variables).ready()
    trainer.signal(signal.SIGUSR1)
    runs = Runs(tmp_path / "out")
    wait_for(lambda: runs.last() is not None, "a decision", said=trainer.last_words)
    decision = runs.last()
    assert decision
    assert decision.what == "failed"
    assert "no label to learn from" in decision.why
    wait_for(lambda: "decision=failed" in trainer.output, "its line in the log", said=trainer.last_words)
    (where,) = re.findall(r"metrics http://([\d.:]+)/metrics", trainer.output)
    assert get(f"http://{where}/rebuild") == (405, "want POST\n")
    assert trainer.stop() == 0

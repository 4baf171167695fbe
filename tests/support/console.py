"""The console in a process of its own, and events for it."""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from schemas.events import EventEnvelope, Segment, Summary, Update
from tests.support.installation import PATIENCE_S, wait_for
from tests.support.paths import ROOT
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

COMMAND = [sys.executable, "-c", "from undertone.cli.main import main; main()", "console"]
_GROUPS = {"angry": "negative", "sad": "negative", "fearful": "negative", "disgust": "negative", "happy": "positive"}
_ENDS: dict[str, dict[str, Any]] = {
    "update": {},
    "segment": {"ended_by": "silence"},
    "summary": {"ended_by": "end", "segments": 1},
}
_KINDS = {"update": Update, "segment": Segment, "summary": Summary}


class ConsoleProcess:
    """`undertone console` with some options; `variables` become UNDERTONE_CONSOLE_<NAME>."""

    def __init__(self, environment: Mapping[str, str], log: Path, *options: str, **variables: object) -> None:
        self._log = log
        own = {f"UNDERTONE_CONSOLE_{name.upper()}": str(value) for name, value in variables.items()}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *(options or ("--port", "0"))],
                env={**environment, "PYTHONUNBUFFERED": "1", "UNDERTONE_CONSOLE_METRICS_PORT": "0", **own},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    @property
    def url(self) -> str:
        """Where its page is, once it says so."""
        line = re.compile(r"^ready (http://\S+)$", re.M)
        wait_for(
            lambda: bool(line.search(self.output)) or self.process.poll() is not None,
            "the console's ready line",
            said=lambda: self.output,
        )
        found = line.findall(self.output)
        assert found, self.output
        return str(found[-1])

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


def status(url: str, **headers: str) -> int:
    """What the answer begins with; an endless one is not read."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.stream("GET", url, headers=sent, timeout=PATIENCE_S) as answer:
        return answer.status_code


class Speaker:
    """One stream whose events a test makes up: each comes when it is said, on the clock of now."""

    def __init__(self, call: str, channel: str = "customer", role: str | None = None, began_s: float = 60.0) -> None:
        self.began = datetime.now(UTC) - timedelta(seconds=began_s)
        self._fixed = {"call_id": call, "channel": channel, "role": role or channel, "sample_rate": 8000}

    def event(
        self, kind: str, start_s: float, end_s: float, label: str = "neutral", probability: float = 0.8, **more: Any
    ) -> EventEnvelope:
        """An event of this stream between two of its seconds."""
        sure = "neutral" if label == "uncertain" else label
        rest = "calm" if sure != "calm" else "neutral"
        fields: dict[str, Any] = {
            **self._fixed,
            "start_sample": int(start_s * 8000),
            "end_sample": int(end_s * 8000),
            "label": label,
            "probabilities": {sure: probability, rest: round(1 - probability, 3)},
            "group": _GROUPS.get(label, "uncertain" if label == "uncertain" else "neutral"),
            "valence": {"negative": -0.6, "positive": 0.6}.get(_GROUPS.get(label, ""), 0.0),
            "speech_s": max(0.0, end_s - start_s),
            "level_dbfs": -20.0,
            "pitch_hz": 180.0,
            "model_version": "test-1",
        }
        return EventEnvelope.around(_KINDS[kind](**fields | _ENDS[kind] | more), self.began)

    def now_s(self) -> float:
        """How long the stream lasts by now."""
        return (datetime.now(UTC) - self.began).total_seconds()


def publish(settings: KafkaSettings, topic: str, events: Iterable[EventEnvelope]) -> None:
    """Put events on Kafka."""
    with closing(idempotent_producer(settings)) as producer:
        for event in events:
            producer.send(topic, key=event.subject.encode(), value=event.model_dump_json().encode())
        producer.flush()


def speak_on(settings: KafkaSettings, topic: str, speakers: list[Speaker], labels: list[str], seconds: float) -> None:
    """Let speakers talk live: an update of each every half second, a segment every fourth."""
    with closing(idempotent_producer(settings)) as producer:
        began = time.monotonic()
        for step in range(int(seconds * 2)):
            for number, speaker in enumerate(speakers):
                end_s = speaker.now_s()
                kind = "segment" if step % 8 == 7 else "update"
                start_s = end_s - 0.5 * (step % 8 + 1)
                event = speaker.event(kind, start_s, end_s, labels[(number + step // 8) % len(labels)])
                producer.send(topic, key=event.subject.encode(), value=event.model_dump_json().encode())
            producer.flush()
            time.sleep(max(0.0, began + (step + 1) / 2 - time.monotonic()))

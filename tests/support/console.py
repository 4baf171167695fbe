"""The console in a process of its own, and events for it."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count, zip_longest
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding, Role
from schemas.events import AudioSpan, EventEnvelope, Segment, Summary, Update
from tests.support.installation import PATIENCE_S, wait_for
from tests.support.paths import ROOT
from undertone.acoustics.codecs import encode
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

COMMAND = [sys.executable, "-c", "from undertone.cli.main import main; main()", "console"]
RATE: Literal[8000] = 8000
Lies = Callable[[float, float], AudioSpan]
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
        # Each has a folder of its own, unless a test gives one to several.
        variables = {"folder": log.with_suffix(".kept")} | variables
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
        self.call, self.channel, self.role = call, channel, role or channel
        self._fixed = {"call_id": call, "channel": channel, "role": self.role, "sample_rate": RATE}

    def event(
        self, kind: str, start_s: float, end_s: float, label: str = "neutral", probability: float = 0.8, **more: Any
    ) -> EventEnvelope:
        """An event of this stream between two of its seconds."""
        sure = "neutral" if label == "uncertain" else label
        rest = "calm" if sure != "calm" else "neutral"
        fields: dict[str, Any] = {
            **self._fixed,
            "start_sample": int(start_s * RATE),
            "end_sample": int(end_s * RATE),
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


def chunks_of(
    speaker: Speaker, samples: NDArray[np.int16], gap: tuple[float, float] = (0.0, 0.0), chunk_s: float = 0.5
) -> list[AudioChunk]:
    """Sound of a stream as a producer sends it, without the chunks that lie in the gap."""
    size = int(chunk_s * RATE)
    return [
        AudioChunk(
            call_id=speaker.call,
            channel=speaker.channel,
            role=Role(speaker.role),
            sequence=number,
            first_sample=number * size,
            start_time=speaker.began,
            encoding=Encoding.L16,
            sample_rate=RATE,
            audio=encode(samples[number * size :][:size], Encoding.L16),
        )
        for number in range(-(-len(samples) // size))
        if not gap[0] <= number * chunk_s < gap[1]
    ]


def send_sound(settings: KafkaSettings, topic: str, *streams: Sequence[AudioChunk]) -> dict[str, Lies]:
    """Put streams on Kafka as calls do, one chunk of each after the other; where each of them lies, by its name."""
    offsets: dict[str, list[tuple[int, int, int]]] = {}
    with closing(idempotent_producer(settings)) as producer:
        for chunk in (one for turn in zip_longest(*streams) for one in turn if one):
            sent = producer.send(topic, key=chunk.stream.encode(), value=chunk.audio, headers=chunk.headers())
            place = sent.get(timeout=PATIENCE_S)
            offsets.setdefault(chunk.stream, []).append((chunk.first_sample, place.partition, place.offset))

    def lies_of(placed: list[tuple[int, int, int]]) -> Lies:
        def lies(start_s: float, end_s: float) -> AudioSpan:
            first = max(offset for sample, _, offset in placed if sample <= start_s * RATE)
            last = max(offset for sample, _, offset in placed if sample < end_s * RATE)
            return AudioSpan(topic=topic, partition=placed[0][1], first_offset=first, last_offset=last)

        return lies

    return {stream: lies_of(placed) for stream, placed in offsets.items()}


def publish(settings: KafkaSettings, topic: str, events: Iterable[EventEnvelope]) -> None:
    """Put events on Kafka."""
    with closing(idempotent_producer(settings)) as producer:
        for event in events:
            producer.send(topic, key=event.subject.encode(), value=event.model_dump_json().encode())
        producer.flush()


@contextmanager
def speaking(settings: KafkaSettings, topic: str, speakers: list[Speaker], labels: list[str]) -> Iterator[None]:
    """Speakers talk live while a block lasts: an update of each every half second, a segment every fourth."""
    over = threading.Event()
    thread = threading.Thread(target=_speak, args=(settings, topic, speakers, labels, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _speak(
    settings: KafkaSettings, topic: str, speakers: list[Speaker], labels: list[str], over: threading.Event
) -> None:
    with closing(idempotent_producer(settings)) as producer:
        began = time.monotonic()
        for step in count():
            if over.wait(max(0.0, began + step / 2 - time.monotonic())):
                return
            for number, speaker in enumerate(speakers):
                end_s = speaker.now_s()
                kind = "segment" if step % 8 == 7 else "update"
                start_s = end_s - 0.5 * (step % 8 + 1)
                event = speaker.event(kind, start_s, end_s, labels[(number + step // 8) % len(labels)])
                producer.send(topic, key=event.subject.encode(), value=event.model_dump_json().encode())
            producer.flush()

"""Calls in Kafka that people have labelled with emotions that no model knows."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.aliases import Alias
from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.support.labels import Send, label
from tests.support.service import bundle_of
from tests.support.streams import cut
from tests.support.voices import RATE, utterance
from trainer.collection.dataset import Dataset
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.service import CollectorService
from trainer.collection.settings import TrainerSettings
from trainer.rebuild import rebuild
from trainer.rebuild.checks import Check
from trainer.rebuild.rebuild import Rebuild, Request
from trainer.rebuild.runs import Decision, Job, Verdict
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import read_contents

MOODS = ("frustrated", "satisfied")
PASSED = Check(name="people", about="UAR on what people said", passed=True, why="", candidate=0.8, champion=0.6)
FAILED = PASSED.model_copy(update={"passed": False, "candidate": 0.5, "why": "6 files of 2 speakers"})
LABELS = Check(name="labels", about="emotions", passed=False, why="new: proud")
_GAP = np.zeros(RATE, np.int16)

Label = Callable[..., int]


def call_of(
    speaker: int, takes: int, moods: tuple[str, ...] = MOODS
) -> tuple[list[AudioChunk], list[tuple[str, int, int]]]:
    """A caller's call as chunks; the emotion of each utterance, and the samples between which it lies."""
    parts, stretches, position = [], [], 0
    for take in range(takes):
        for mood in moods:
            sound = utterance(mood, speaker, take)
            stretches.append((mood, position, position + len(sound)))
            parts += [sound, _GAP]
            position += len(sound) + len(_GAP)
    return cut(np.concatenate(parts), RATE, RATE // 2, call_id=f"call-{speaker}"), stretches


@pytest.fixture
def labelled_calls(send: Send, topics: Topics) -> Label:
    """Send calls of so many callers, and a label for each utterance. Returns how many labels those are."""

    def make(speakers: range, takes: int = 3, as_: dict[str, str] | None = None) -> int:
        labels = []
        for speaker in speakers:
            chunks, stretches = call_of(speaker, takes)
            places = send(topics.call_audio.name, [(c.stream, c.audio) for c in chunks], [c.headers() for c in chunks])
            span: dict[str, Any] = {"topic": topics.call_audio.name, "partition": 0}
            span |= {"first_offset": places[0].offset, "last_offset": places[-1].offset}
            for mood, start, end in stretches:
                said = (as_ or {}).get(mood, mood)
                fields: dict[str, Any] = {"start_sample": start, "end_sample": end, "sample_rate": RATE, "audio": span}
                labels.append(label(said, call_id=f"call-{speaker}", model_version="emotions-1", **fields))
        send(topics.emotion_labels.name, labels)
        return len(labels)

    return make


class Trainer:
    """A trainer with labels of four callers, whose training process is a script."""

    def __init__(self, kafka: KafkaSettings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka, self.folder, self.out = kafka, folder, folder / "out"
        self.dataset = Dataset.open(str(self.out / "dataset"))
        self._monkeypatch = monkeypatch
        CollectorService(kafka, TrainerSettings(), self.dataset, CollectorMetrics()).run(lambda: None, until_end=True)

    def leaves(self, version: str, *checks: Check) -> None:
        """Let the process leave a bundle of this version, and these checks."""
        made = Verdict(version=version, checks=checks).model_dump_json()
        (self.folder / "made.zip").write_bytes(bundle_of(version))
        self.does(
            f"import pathlib, shutil; shutil.copy({str(self.folder / 'made.zip')!r}, folder / 'model.zip');"
            f"(folder / 'gate.json').write_text({made!r}); print('trained')"
        )

    def does(self, code: str) -> None:
        """Let the process run this."""
        script = self.folder / "process.py"
        script.write_text(f"import os, sys, pathlib\nfolder = pathlib.Path(sys.argv[1])\n{code}\n")
        self._monkeypatch.setattr(rebuild, "PROCESS", (sys.executable, str(script)))

    def rebuild(
        self, say: Callable[[str], None] = lambda _: None, stopping: Callable[[], bool] = lambda: False
    ) -> Decision | None:
        done = Rebuild(self.kafka, Request(self.out, Job(data=()), self.dataset, 30), say, stopping).run()
        return done[1] if done else None

    @property
    def champion(self) -> str:
        return read_contents(self.kafka).in_use().version

    @property
    def challenger(self) -> str | None:
        return read_contents(self.kafka).state.named(Alias.CHALLENGER)


@pytest.fixture
def trainer(
    kafka_settings: KafkaSettings, labelled_calls: Label, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Trainer:
    labelled_calls(range(4), takes=1)
    return Trainer(kafka_settings, tmp_path, monkeypatch)

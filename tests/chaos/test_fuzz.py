"""The fuzzers' short forms, with fixed seeds, and that they notice what they look for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.audio import AudioChunk
from schemas.topics import Topics
from tests.chaos.fuzz import Fuzzer
from tests.chaos.fuzz_worker import fuzz_worker
from tests.support.paths import ROOT
from undertone.messaging.settings import KafkaSettings


def test_mutated_messages_are_chunks_or_dead_letters() -> None:
    # A process of its own: its memory is that of these messages alone.
    command = [sys.executable, "-m", "tests.chaos.fuzz", "--messages", "8000", "--seed", "11"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["accepted"] + sum(said["rejected"].values()) == 8000
    assert len(said["rejected"]) >= 8, "the mutations reach most reasons"


def test_the_fuzzer_notices_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    read = AudioChunk.from_record

    def failing(key: bytes | None, *others: Any) -> AudioChunk:
        if key == b"/":
            raise KeyError("a bug")
        return read(key, *others)

    monkeypatch.setattr(AudioChunk, "from_record", failing)
    fuzzer = Fuzzer(seed=1)
    fuzzer.feed(1500)
    assert any("a bug" in text for text in fuzzer.outcome.crashes)


@pytest.mark.slow
def test_a_worker_lives_through_mutated_messages(kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path) -> None:
    assert topics
    outcome = fuzz_worker(kafka_settings, tmp_path, messages=2000, seed=5)
    assert outcome.passed, (outcome.wrong[:5], outcome.verdict.remarks, outcome.sessions, outcome.rss_mib)
    assert outcome.sent > 1900
    assert outcome.verdict.events > 100

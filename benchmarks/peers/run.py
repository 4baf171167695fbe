"""Each peer on the same audio and the same broker, one after the other; processor time as /proc tells it."""

import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import soundfile

from benchmarks.stand import cpu_seconds, environment, installation, produce
from tests.support.paths import ROOT
from undertone.messaging.settings import KafkaSettings

# Quix Streams and openSMILE have packages of their own: `scripts/setup.sh peers`.
_THEIR_PYTHON = str(ROOT / ".venv-peers" / "bin" / "python")
PEERS = {
    "notebook_keras": [sys.executable, "-m", "benchmarks.peers.consumer", "notebook_keras"],
    "notebook_litert": [sys.executable, "-m", "benchmarks.peers.consumer", "notebook_litert"],
    "quix_streams": [_THEIR_PYTHON, "-m", "benchmarks.peers.quix"],
    "opensmile_egemaps": [_THEIR_PYTHON, "-m", "benchmarks.peers.consumer", "opensmile"],
    "librosa_features": [sys.executable, "-m", "benchmarks.peers.consumer", "librosa"],
}
CHUNK_S = 0.5
# More a second than the quickest of them gets through: one that has heard all of it would be charged for waiting.
_CHUNKS_A_SECOND = 2000


def measure(bootstrap_servers: str, sound: Path, seconds: float) -> dict[str, dict[str, float]]:
    """What each peer takes for each chunk, over `seconds` of a backlog."""
    kafka = installation(bootstrap_servers)
    calls = math.ceil(seconds * _CHUNKS_A_SECOND * CHUNK_S / soundfile.info(sound).duration)
    with produce(kafka, sound, calls, "--speed", "max") as producer:
        producer.wait()
    return {name: _one(kafka, command, seconds) for name, command in PEERS.items()}


def _one(kafka: KafkaSettings, command: list[str], seconds: float) -> dict[str, float]:
    # TensorFlow and others say much when they are loaded: it is shown where something has gone wrong.
    with tempfile.TemporaryFile("w+") as said:
        peer = subprocess.Popen(
            command, env=environment(kafka), cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True
        )
        with peer:
            _answer(peer, said)  # it is ready
            before = cpu_seconds(peer.pid)
            time.sleep(seconds)
            cpu = cpu_seconds(peer.pid) - before
            peer.terminate()
            heard = int(_answer(peer, said))
    return {
        "streams_per_core": round(CHUNK_S * heard / cpu, 1),
        "us_per_chunk": round(1e6 * cpu / heard),
        "chunks": heard,
        "cpu_s": round(cpu, 2),
    }


def _answer(peer: subprocess.Popen[str], said: IO[str]) -> str:
    """The next of the two lines that a peer says; whatever libraries print goes by."""
    assert peer.stdout
    for line in peer.stdout:
        if line.strip() == "ready" or line.strip().isdigit():
            return line
    said.seek(0)
    sys.exit(f"a peer has ended too early:\n{said.read()}")

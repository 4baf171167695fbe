"""A gateway in a process of its own, and clients that call it."""

import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.audio import AudioChunk, RecordPlace
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.paths import ROOT
from tests.support.service import get
from undertone.acoustics.codecs import decode
from undertone.gateway.audiosocket_messages import ERROR_CODES, RATES, Kind, encode_message
from undertone.gateway.refusals import Refusal

KINDS = {rate: kind for kind, rate in RATES.items()}


class GatewayProcess:
    """`undertone gateway` with some options; `variables` become UNDERTONE_GATEWAY_<NAME>."""

    def __init__(self, environment: Mapping[str, str], log: Path, *options: str, **variables: object) -> None:
        self._log = log
        own = {f"UNDERTONE_GATEWAY_{name.upper()}": str(value) for name, value in variables.items()}
        command = [sys.executable, "-c", "from undertone.cli.main import main; main()", "gateway", *options]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--metrics-port", "0"],
                env={**environment, "PYTHONUNBUFFERED": "1", **own},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text()

    def address(self, wire: str) -> tuple[str, int]:
        """Where a wire listens, once its ready line is there."""
        line = re.compile(rf"^ready {wire} (\S+):(\d+)$", re.M)
        wait_for(
            lambda: bool(line.search(self.output)) or self.process.poll() is not None,
            f"the ready line of {wire}",
            said=lambda: self.output,
        )
        found = line.search(self.output)
        assert found, self.output
        return found[1].strip("[]"), int(found[2])

    @property
    def _metrics(self) -> str:
        (url,) = re.findall(r"^metrics on (\S+)$", self.output, re.M)
        return str(url)

    def readiness(self) -> str:
        """What /readyz says."""
        return get(self._metrics.replace("/metrics", "/readyz"))[1].strip()

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value now; 0 where it has none."""
        _, text = get(self._metrics)
        told = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        found = re.findall(rf"^{name}{re.escape('{' + told + '}') if told else ''} (\S+)$", text, re.M)
        return float(found[0]) if found else 0.0

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


class AudioSocketClient:
    """A telephone system that speaks AudioSocket."""

    def __init__(
        self, address: tuple[str, int], call: uuid.UUID | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.call = call or uuid.uuid4()
        self.socket = socket.create_connection(address, timeout=PATIENCE_S)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=address[0])
        self.send(Kind.UUID, self.call.bytes)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """One message."""
        self.socket.sendall(encode_message(kind, payload))

    def speak(self, samples: NDArray[np.int16], rate: int, message_ms: int = 20) -> None:
        """Samples, as fast as they are taken."""
        size = rate * message_ms // 1000
        for start in range(0, len(samples), size):
            self.send(KINDS[rate], samples[start : start + size].astype("<i2").tobytes())

    def end(self) -> None:
        """The call is over; waits until the gateway has closed the connection."""
        self.send(Kind.END)
        assert self.answer() == []

    def cut(self) -> None:
        """The connection breaks."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def answer(self) -> list[tuple[int, bytes]]:
        """What the gateway says until it closes the connection."""
        data = b""
        try:
            while more := self.socket.recv(4096):
                data += more
        except ConnectionResetError:
            pass  # it closed while more was on its way
        found = []
        while data:
            kind, length = struct.unpack_from(">BH", data)
            found.append((kind, data[3 : 3 + length]))
            data = data[3 + length :]
        return found


def error(reason: Refusal) -> list[tuple[int, bytes]]:
    """How AudioSocket says that something is refused."""
    return [(int(Kind.ERROR), bytes([ERROR_CODES[reason]])), (int(Kind.END), b"")]


def chunks_of_calls(
    installation: Installation, enough: Callable[[Mapping[str, list[AudioChunk]]], bool]
) -> dict[str, list[AudioChunk]]:
    """Chunks on `call-audio` by stream, as a worker reads them, once there are enough."""

    def read(records: Iterable[object]) -> dict[str, list[AudioChunk]]:
        streams: dict[str, list[AudioChunk]] = {}
        for record in records:
            place = RecordPlace(
                topic=record.topic,  # type: ignore[attr-defined]
                partition=record.partition,  # type: ignore[attr-defined]
                offset=record.offset,  # type: ignore[attr-defined]
                timestamp_ms=record.timestamp,  # type: ignore[attr-defined]
            )
            chunk = AudioChunk.from_record(record.key, record.value, record.headers, place)  # type: ignore[attr-defined]
            streams.setdefault(chunk.stream, []).append(chunk)
        return streams

    return read(installation.records(installation.topics.call_audio.name, lambda found: enough(read(found))))


def ended(*streams: str) -> Callable[[Mapping[str, list[AudioChunk]]], bool]:
    """Whether all of these streams have their end in Kafka."""
    return lambda found: all(any(chunk.end_of_stream for chunk in found.get(name, ())) for name in streams)


def heard(chunks: Iterable[AudioChunk]) -> NDArray[np.int16]:
    """A stream's samples, put together; what is missing is silence, as a worker takes it."""
    pieces: list[NDArray[np.int16]] = []
    position = 0
    for chunk in chunks:
        assert chunk.first_sample >= position
        pieces += [np.zeros(chunk.first_sample - position, np.int16), decode(chunk.audio, chunk.encoding)]
        position = chunk.first_sample + chunk.samples
    return np.concatenate(pieces)


def environment_of(installation: Installation) -> dict[str, str]:
    """For processes that are to use the test's topics."""
    return os.environ | {
        "UNDERTONE_BOOTSTRAP_SERVERS": installation.settings.bootstrap_servers,
        "UNDERTONE_TOPIC_PREFIX": installation.settings.topic_prefix,
    }

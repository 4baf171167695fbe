"""`undertone broker` as a process: it starts, stops, keeps its data, leaves nothing behind and says what is wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import TopicPartition

from schemas.errors import UserError
from undertone.devbroker import runtime as kafka_runtime
from undertone.devbroker.broker import free_port, is_free, local_broker, node_properties
from undertone.messaging.clients import admin, idempotent_producer, reader
from undertone.messaging.reading import read_to_end
from undertone.messaging.settings import KafkaSettings

BROKER = [str(Path(sys.executable).with_name("undertone")), "broker"]


@contextmanager
def _broker(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, once it has said that it is ready, and where."""
    process = subprocess.Popen([*BROKER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        ready = re.fullmatch(r"ready (127\.0\.0\.1:\d+)\n", line)
        assert ready, line + process.stderr.read()
        yield process, ready[1]
    finally:
        process.kill()
        process.communicate()


def _java_processes(data_dir: Path) -> list[int]:
    """Process ids of the Kafkas that run on `data_dir`."""
    needle = str(data_dir / "server.properties").encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended since the listing
            continue
        if needle in command:
            found.append(int(entry.name))
    return found


def _wait_until_gone(data_dir: Path) -> None:
    deadline = time.monotonic() + 60
    while _java_processes(data_dir):
        assert time.monotonic() < deadline, "a Kafka was left behind"
        time.sleep(0.05)


def _append(bootstrap_servers: str, value: bytes) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
    with idempotent_producer(settings, allow_auto_create_topics=False) as producer:
        producer.send("log", value=value, partition=0).get(timeout=60)


def _read(bootstrap_servers: str) -> list[bytes]:
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
    with reader(settings) as consumer:
        return [record.value for record in read_to_end(settings, consumer, [TopicPartition("log", 0)])]


def _create_topic(bootstrap_servers: str) -> None:
    with admin(KafkaSettings(bootstrap_servers=bootstrap_servers)) as client:
        client.create_topics({"log": {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)


@pytest.mark.slow
def test_data_survive_a_clean_stop_and_a_kill_9(tmp_path: Path) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    with _broker(*data) as (process, servers):
        _create_topic(servers)
        _append(servers, b"one")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not _java_processes(tmp_path / "data")
    # Another port than before: nothing in the data may depend on it.
    with _broker(*data, "--port", str(free_port(0))) as (process, servers):
        assert _read(servers) == [b"one"]
        _append(servers, b"two")
        process.kill()
        process.wait()
        _wait_until_gone(tmp_path / "data")
    with _broker(*data) as (process, servers):
        assert _read(servers) == [b"one", b"two"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not _java_processes(tmp_path / "data")


@pytest.mark.slow
def test_says_so_when_kafka_itself_dies_and_when_the_directory_is_in_use(tmp_path: Path) -> None:
    with _broker("--data-dir", str(tmp_path)) as (process, _):
        second = subprocess.run([*BROKER, "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert second.stderr.strip() == f"undertone: another broker uses the data directory {tmp_path}"
        for pid in _java_processes(tmp_path):
            os.kill(pid, signal.SIGKILL)
        assert process.wait(60) == 2
        assert process.stderr
        assert "the local Kafka has ended" in process.stderr.read()


@pytest.mark.slow
def test_listens_on_loopback_only_and_deletes_temporary_data() -> None:
    with local_broker() as broker:
        port = int(broker.bootstrap_servers.rpartition(":")[2])
        directory = broker.log_file.parent
        listening = (Path("/proc/net/tcp6").read_text() + Path("/proc/net/tcp").read_text()).splitlines()
        addresses = {line.split()[1] for line in listening if f":{port:04X} " in line and " 0A " in line}
    assert addresses <= {f"0100007F:{port:04X}", f"0000000000000000FFFF00000100007F:{port:04X}"}
    assert addresses
    assert not directory.exists()


def test_one_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("undertone.devbroker.broker.STOP_TIMEOUT_S", 0.5)
    with local_broker() as broker:
        os.kill(broker.process.pid, signal.SIGSTOP)
    assert broker.process.returncode == -signal.SIGKILL
    assert "has not stopped for 0 s and is killed" in caplog.text


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert not is_free(port)
        done = subprocess.run([*BROKER, "--port", str(port)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == f"undertone: port {port} on 127.0.0.1 is taken: choose another with --port"


def test_a_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with (
        pytest.raises(UserError, match=f"cannot write to the data directory {file}/data: Not a directory"),
        local_broker(data_dir=file / "data"),
    ):
        pass


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undertone.devbroker.broker.MIN_FREE_BYTES", 1 << 62)
    with pytest.raises(UserError, match=r"only \d+ MiB of disk free at "), local_broker(data_dir=tmp_path):
        pass


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing installed and nothing fetched; returns the folder that is its PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("UNDERTONE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return path


def _install(path: Path, name: str, script: str) -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def _runtime_error() -> str:
    with pytest.raises(UserError) as caught:
        kafka_runtime.find_runtime(print)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_java_and_no_docker_says_what_to_install(bare_machine: Path) -> None:
    assert _runtime_error() == (
        "no Java on the PATH (Debian: apt-get install openjdk-17-jre-headless maven);"
        " or start Docker, or set UNDERTONE_BOOTSTRAP_SERVERS to a Kafka"
    )


@pytest.mark.parametrize(("version", "number"), [("1.8.0_392", 8), ("11.0.21", 11)])
def test_an_old_java_is_named(bare_machine: Path, version: str, number: int) -> None:
    _install(bare_machine, "java", f"echo 'openjdk version \"{version}\" 2023-10-17' >&2")
    assert f"java is Java {number}; Kafka needs 17 or newer" in _runtime_error()


def test_no_maven_is_named(bare_machine: Path) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2")
    assert _runtime_error().startswith("no Maven (mvn) to fetch Kafka with (Debian: apt-get install maven)")


def test_a_failed_download_gives_mavens_reason_and_leaves_no_half_cache(bare_machine: Path, tmp_path: Path) -> None:
    _install(bare_machine, "java", "echo 'openjdk version \"21.0.1\" 2023-10-17' >&2")
    _install(bare_machine, "mvn", "echo '[ERROR] Unknown host repo.maven.apache.org'; exit 1")
    assert _runtime_error().startswith("Maven could not fetch Kafka: Unknown host repo.maven.apache.org")
    assert list((tmp_path / "home").iterdir()) == []


def test_docker_is_used_where_java_is_missing(bare_machine: Path, tmp_path: Path) -> None:
    _install(bare_machine, "docker", "exit 0")
    said: list[str] = []
    runtime = kafka_runtime.find_runtime(said.append)
    assert isinstance(runtime, kafka_runtime.DockerRuntime)
    assert said[0].endswith("using Docker")
    properties = node_properties(1234, 1235)
    command = runtime.command(properties, tmp_path, keep=True)
    assert "--publish=127.0.0.1:1234:1234" in command
    assert any(argument.startswith("--volume=undertone-") for argument in command)
    assert "--volume=/var/lib/kafka/data" in runtime.command(properties, tmp_path, keep=False)


def test_a_tethered_command_dies_with_its_parent(tmp_path: Path) -> None:
    script = """
import subprocess, sys
from undertone.devbroker.die_with_parent import tethered
subprocess.run(tethered(sys.argv[1:]))
"""
    pid_file = tmp_path / "pid"
    child = ["sh", "-c", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 600"]
    parent = subprocess.Popen([sys.executable, "-c", script, *child])
    deadline = time.monotonic() + 60
    while not pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)

"""A local Apache Kafka (KRaft mode, one node) for development, the demo and tests. It listens on 127.0.0.1 only."""

import errno
import fcntl
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError
from undertone.devbroker.runtime import Say, find_runtime
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings

log = logging.getLogger(__name__)

DEFAULT_PORT = 9092  # where clients look when nothing is set
START_TIMEOUT_S = 90.0  # it takes 2 s on an idle machine
STOP_TIMEOUT_S = 30.0  # a clean stop takes 1 s; after this long it is killed
MIN_FREE_BYTES = 256 * 1024 * 1024

# One node, so every internal topic has one copy; few internal partitions, so it starts and stops quickly.
SINGLE_NODE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    # The default waits 3 s for more members before a new group starts.
    "group.initial.rebalance.delay.ms": "0",
    # Workers may ask for sessions this short, so that tests see a takeover within seconds.
    "group.min.session.timeout.ms": "1000",
}


def node_properties(port: int, controller_port: int) -> dict[str, str]:
    """Kafka's configuration for one node that clients reach at 127.0.0.1:`port`; the log directory is left out."""
    return SINGLE_NODE | {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        # Fixed voters and not `format --standalone`: that writes the controller's port into the data for good.
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
    }


@dataclass(frozen=True)
class Broker:
    """A running local Kafka."""

    bootstrap_servers: str
    log_file: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Block until the broker ends by itself, which it should not.

        Raises:
            UserError: it has ended; the line says why.
        """
        self.process.wait()
        raise UserError(f"the local Kafka has ended: {_last_words(self.log_file)}")


@contextmanager
def local_broker(port: int | None = None, data_dir: Path | None = None, say: Say = lambda _: None) -> Iterator[Broker]:
    """Run Kafka until the block ends; it also dies with this process, whatever kills that.

    Start it from a thread that outlives the block. Without `port` the system chooses a free one. Without `data_dir`
    the data are deleted at the end; with it they survive, a kill -9 included.

    Raises:
        UserError: the port is taken, the directory cannot be used, Java and Docker are missing, a download fails.
    """
    keep = data_dir is not None
    with ExitStack() as stack:
        if data_dir is None:
            data_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="undertone-kafka-")))
        data_dir = data_dir.absolute()
        lock = stack.enter_context(_locked(data_dir))
        port = free_port(port or 0)
        command = find_runtime(say).command(node_properties(port, free_port(0)), data_dir, keep)
        yield stack.enter_context(_running(command, port, data_dir / "broker.log", lock))


@contextmanager
def _running(command: list[str], port: int, log_file: Path, lock: int) -> Iterator[Broker]:
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us alone: we stop the broker after its clients.
            start_new_session=True,
            # The broker keeps the lock too: after a kill -9 of ours the directory is free when the broker is gone.
            pass_fds=(lock,),
        )
    broker = Broker(f"127.0.0.1:{port}", log_file, process)
    try:
        _wait_until_ready(broker)
        yield broker
    finally:
        _stop(process)


def _wait_until_ready(broker: Broker) -> None:
    settings = KafkaSettings.model_construct(bootstrap_servers=broker.bootstrap_servers, connect_timeout_s=2.0)
    port = int(broker.bootstrap_servers.rpartition(":")[2])
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if broker.process.poll() is not None:
            raise UserError(f"the local Kafka did not start: {_last_words(broker.log_file)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            admin(settings).close()
            return
        except (OSError, UserError):
            time.sleep(0.05)
    raise UserError(f"the local Kafka does not answer after {START_TIMEOUT_S:.0f} s: see {broker.log_file}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        log.warning(
            "the local Kafka has not stopped for %.0f s and is killed; its data are checked next time", STOP_TIMEOUT_S
        )
    finally:
        process.kill()
        process.wait()


@contextmanager
def _locked(data_dir: Path) -> Iterator[int]:
    """Hold `data_dir` for one broker; yields the lock's file descriptor."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(data_dir / "undertone.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise UserError(f"cannot write to the data directory {data_dir}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another broker uses the data directory {data_dir}") from None
        free = shutil.disk_usage(data_dir).free
        if free < MIN_FREE_BYTES:
            raise UserError(f"only {free >> 20} MiB of disk free at {data_dir}: Kafka needs {MIN_FREE_BYTES >> 20}")
        yield handle
    finally:
        os.close(handle)


def is_free(port: int) -> bool:
    """Whether a broker could listen on `port` of 127.0.0.1."""
    try:
        return free_port(port) == port
    except UserError:
        return False


def free_port(port: int) -> int:
    """`port` if it is free on 127.0.0.1, or any free port for 0."""
    with socket.socket() as probe:
        # As Java does it: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            taken = exc.errno == errno.EADDRINUSE
            why = "is taken: choose another with --port" if taken else f"cannot be used: {exc.strerror}"
            raise UserError(f"port {port} on 127.0.0.1 {why}") from None
        return int(probe.getsockname()[1])


def _last_words(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").splitlines()
    for sign, meaning in {
        "No space left on device": "no disk space left",
        "Address already in use": "its port is taken",
        "OutOfMemoryError": "out of memory",
        "Cannot allocate memory": "out of memory",
        "port is already allocated": "its port is taken",
    }.items():
        if any(sign in line for line in lines):
            return f"{meaning} (log: {log_file})"
    reasons = [line for line in lines if "ERROR" in line or "Exception" in line or "Error" in line]
    return f"{(reasons or lines or ['no reason given'])[-1].strip()[:300]} (log: {log_file})"

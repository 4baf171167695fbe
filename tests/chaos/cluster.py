"""Real Kafka brokers on loopback, three by default, which can be stopped, killed and restarted (KRaft).

They run from the same jars as `undertone broker`.
"""

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from kafka.errors import KafkaError

from schemas.errors import UserError
from tests.chaos.network import Link
from undertone.devbroker.broker import SINGLE_NODE, free_port
from undertone.devbroker.runtime import JavaRuntime, find_runtime
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings

NODES = 3
PATIENCE_S = 240.0  # for whatever a cluster must come to by itself; it takes seconds on an idle machine
_STOP_S = 60.0

_CLUSTER = SINGLE_NODE | {
    # A killed broker is missed after this long (9 s by default): rounds stay short.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "10000",
    # How often open transactions are looked at; by default a dead worker's lives up to 10 s beyond its timeout.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


class Node:
    """One broker's place: its ports and data stay when its process goes."""

    def __init__(self, number: int, directory: Path, runtime: JavaRuntime) -> None:
        self.number = number
        self.port = _port()
        self.controller_port = _port()
        self.process: subprocess.Popen[bytes] | None = None
        self._directory = directory / f"broker-{number}"
        self._directory.mkdir(parents=True)
        self._runtime = runtime
        self._proxies: dict[str, tuple[int, int]] = {}  # client -> port that it listens on, port that it advertises

    @property
    def address(self) -> str:
        """Where clients that nobody disturbs reach it."""
        return f"127.0.0.1:{self.port}"

    def address_for(self, client: str) -> str:
        """Where `client` reaches it, through its link."""
        return f"127.0.0.1:{self._proxies[client][1]}"

    def lead(self, client: str, link: Link) -> None:
        """Let `client` come through `link`; before the start."""
        port = _port()
        self._proxies[client] = port, link.forward_to(port)

    def start(self, voters: Sequence["Node"]) -> None:
        """Start its process; `voters` are all nodes, each of which is a controller too."""
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self.controller_port}
        advertised = {"PLAINTEXT": self.port}
        for client, (port, proxy) in self._proxies.items():
            listeners[client.upper()], advertised[client.upper()] = port, proxy
        properties = _CLUSTER | _copies(len(voters))
        properties |= {
            "node.id": str(self.number),
            "controller.quorum.voters": ",".join(f"{node.number}@127.0.0.1:{node.controller_port}" for node in voters),
            "listeners": _addresses(listeners),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        }
        command = self._runtime.command(properties, self._directory, keep=True)
        with (self._directory / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop(self) -> None:
        """SIGTERM: it hands its partitions over and ends. One that cannot, as it is the last, is killed."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Cluster:
    """The brokers together."""

    def __init__(self, directory: Path, clients: Mapping[str, Link], nodes: int = NODES) -> None:
        runtime = find_runtime(print)
        if not isinstance(runtime, JavaRuntime):
            raise UserError("brokers that can be disturbed need Java")
        self.nodes = [Node(number, directory, runtime) for number in range(1, nodes + 1)]
        for node in self.nodes:
            for client, link in clients.items():
                node.lead(client, link)

    @property
    def settings(self) -> KafkaSettings:
        """For clients that nobody disturbs."""
        # A broker that has just been killed answers nobody; the client is to look on for another.
        return KafkaSettings(bootstrap_servers=",".join(node.address for node in self.nodes), connect_timeout_s=60)

    def servers_for(self, client: str) -> str:
        """Bootstrap servers for `client`, through its link."""
        return ",".join(node.address_for(client) for node in self.nodes)

    def start(self) -> None:
        """Start all brokers that do not run and wait until every partition has all its replicas."""
        for node in self.nodes:
            if node.process is None or node.process.poll() is not None:
                node.start(self.nodes)
        self.wait_until_whole()

    def stop(self) -> None:
        """SIGTERM to all at once."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(Node.stop, self.nodes))

    def kill(self) -> None:
        """kill -9 of all."""
        for node in self.nodes:
            node.kill()

    def wait_until_whole(self) -> None:
        """Wait until all brokers are there and every replica is in sync."""
        _wait_for(self._whole, "all replicas to be in sync")

    def leader(self, topic: str, partition: int) -> Node:
        """The broker that leads a partition."""

        def number() -> int:
            with closing(admin(self.settings)) as client:
                (entry,) = client.describe_topics([topic])
            return int(next(p["leader_id"] for p in entry["partitions"] if p["partition_index"] == partition))

        _wait_for(lambda: number() > 0, f"a leader of {topic}-{partition}")
        found = number()
        return next((node for node in self.nodes if node.number == found), self.nodes[0])

    def group_coordinator(self, group: str) -> Node:
        """The broker that keeps a group's membership and offsets."""
        return self._keeper("__consumer_offsets", "offsets.topic.num.partitions", group)

    def transaction_coordinator(self, transactional_id: str) -> Node:
        """The broker that decides a producer's transactions."""
        return self._keeper("__transaction_state", "transaction.state.log.num.partitions", transactional_id)

    def _keeper(self, topic: str, size: str, name: str) -> Node:
        return self.leader(topic, java_hash(name) % int(_CLUSTER[size]))

    def _whole(self) -> bool:
        for node in self.nodes:
            # The others count a killed broker until its session ends; its own port opens when it takes part again.
            socket.create_connection(("127.0.0.1", node.port), timeout=1).close()
        with closing(admin(self.settings)) as client:
            if sum(not broker["is_fenced"] for broker in client.describe_cluster()["brokers"]) < len(self.nodes):
                return False
            partitions = [entry for topic in client.describe_topics() for entry in topic["partitions"]]
        return all(len(entry["isr_nodes"]) == len(entry["replica_nodes"]) for entry in partitions)


@contextmanager
def running_cluster(directory: Path, clients: Mapping[str, Link], nodes: int = NODES) -> Iterator[Cluster]:
    """A cluster that has started; its processes are gone after the block, its data are left in `directory`.

    Call it in the main thread: the brokers die with the thread that starts them.
    """
    cluster = Cluster(directory, clients, nodes)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
        for node in directory.glob("broker-*"):
            shutil.rmtree(node / "log", ignore_errors=True)


def java_hash(text: str) -> int:
    """String.hashCode without its sign, by which Kafka finds a coordinator's partition (`Utils.abs`)."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def _wait_for(true: Callable[[], bool], what: str) -> None:
    """Wait for something that is asked of brokers, which may be away while we ask."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            if true():
                return
        except (KafkaError, UserError, OSError, StopIteration):
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.2)


def _port() -> int:
    # Below the ports that systems give to outgoing connections: a broker that is down must find its own free again.
    for _ in range(1000):
        port = random.randrange(12_000, 32_000)
        try:
            return free_port(port)
        except UserError:
            continue
    raise UserError("no free port between 12000 and 32000")


def _copies(nodes: int) -> dict[str, str]:
    """As many copies of everything as there are brokers; a write needs one less, so that one may be down."""
    enough = str(max(nodes - 1, 1))
    return {
        "offsets.topic.replication.factor": str(nodes),
        "transaction.state.log.replication.factor": str(nodes),
        "transaction.state.log.min.isr": enough,
        "share.coordinator.state.topic.replication.factor": str(nodes),
        "share.coordinator.state.topic.min.isr": enough,
        "default.replication.factor": str(nodes),
        "min.insync.replicas": enough,
    }


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())

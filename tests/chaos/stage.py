"""A whole installation to be disturbed: brokers, workers, producer, gateway and trainer, each of them within reach."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from schemas.audio import AudioChunk, RecordPlace
from schemas.errors import UserError
from schemas.topics import Topics
from tests.chaos.callers import Callers
from tests.chaos.cluster import PATIENCE_S, Cluster, running_cluster
from tests.chaos.labellers import Labellers
from tests.chaos.models import bundle_named, following
from tests.chaos.network import Link, Network
from tests.chaos.plan import Plan
from tests.chaos.processes import WORKER, Process
from tests.chaos.watcher import Seen, Watcher, assign_all
from tests.chaos.workers import Worker
from undertone.devbroker.broker import free_port
from undertone.inference.bundle import read_bundle
from undertone.messaging.clients import admin, reader
from undertone.messaging.topics import ensure_topics
from undertone.registry import changes
from undertone.registry.contents import read_contents

WORKERS = ("w1", "w2", "w3")
SPARE = "w4"
GROUP = "undertone-workers"
PARTITIONS = 6
# Short, so that rounds are: a session of 6 s is missed by nobody who is awake, at a load of 10 either.
SESSION_S = 6.0
# Small batches and many transactions, and no call that is closed because a round took long.
_WORKER_SETTINGS = {
    "METRICS_PORT": "0",
    "SESSION_TIMEOUT_S": str(SESSION_S),
    "TRANSACTION_TIMEOUT_S": "8",
    "CONNECT_TIMEOUT_S": "60",
    "BATCH_MS": "30",
    "BATCH_RECORDS": "100",
    "IDLE_SECONDS": "86400",
}
# A trainer makes a model after so many labels: about every other round.
_LABELS_A_MODEL = 25


class Stage:
    """The installation; make it with `running_stage`."""

    def __init__(self, cluster: Cluster, links: dict[str, Link], plan: Plan, directory: Path) -> None:
        self.cluster = cluster
        self.links = links
        self.plan = plan
        self.directory = directory
        self.topics = Topics()
        self.exits: list[str] = []  # processes that ended by themselves, and were started again
        self.away: set[str] = {*WORKERS, SPARE}  # workers that are not to run
        self.workers = {name: self._worker(name) for name in links}
        arguments = [str(number) for number in (plan.seed, plan.calls, plan.chunks)]
        self.producer = Process(
            ("-m", "tests.chaos.producer", *arguments, str(directory)),
            {"UNDERTONE_BOOTSTRAP_SERVERS": cluster.settings.bootstrap_servers, "UNDERTONE_CONNECT_TIMEOUT_S": "120"},
            directory / "producer.log",
        )
        port = free_port(0)
        self.gateway = Worker(
            cluster.settings,
            "gateway",
            directory,
            (*WORKER[:-1], "gateway", "--audiosocket", f"127.0.0.1:{port}"),
            gateway_metrics_port=0,
            connect_timeout_s=120,
        )
        self.callers = Callers(("127.0.0.1", port), plan.seed)
        out = directory / "trainer"
        self.dataset = out / "dataset"
        self.trainer = Worker(
            cluster.settings,
            "trainer",
            directory,
            ("-m", "tests.chaos.trainer", "--out", str(out), "--after-labels", str(_LABELS_A_MODEL)),
            trainer_metrics_port=0,
            trainer_lease_s=SESSION_S,
        )
        self.labellers = Labellers(cluster.settings, plan.seed)

    def _worker(self, name: str) -> Process:
        environment = {f"UNDERTONE_{key}": value for key, value in _WORKER_SETTINGS.items()}
        environment |= {
            "UNDERTONE_INSTANCE_ID": name,
            "UNDERTONE_BOOTSTRAP_SERVERS": self.cluster.servers_for(name),
        }
        return Process(WORKER, environment, self.directory / f"{name}.log")

    def start(self) -> None:
        """Topics, a first model, workers that are ready, a producer that waits for its release."""
        with closing(admin(self.cluster.settings)) as client:
            ensure_topics(client, self.topics, partitions=PARTITIONS, replication_factor=3)
        self.cluster.wait_until_whole()
        self.publish_model()
        self.release(0)
        for name in WORKERS:
            self.workers[name].start()
            self.away.discard(name)
        for process in (self.producer, self.gateway, self.trainer):
            process.start()
        self.wait_for(lambda: all("ready:" in self.workers[name].output for name in WORKERS), "workers to be ready")
        self.wait_for(lambda: "ready audiosocket" in self.gateway.output, "the gateway to be ready")

    def publish_model(self) -> None:
        """Publish one more model, for the utterances that begin from now on."""

        def published() -> bool:
            version = following(read_contents(self.cluster.settings).running)
            changes.publish(read_bundle(bundle_named(version)), self.cluster.settings)
            return True

        self.wait_for(published, "a model to be published")

    def versions(self) -> list[str]:
        """The models that were published, by whoever did it."""
        return [entry.version for entry in read_contents(self.cluster.settings).entries if entry.published]

    def release(self, chunks: int, per_second: float = 1000.0) -> None:
        """Let the producer send the first `chunks` of the plan, at this speed."""
        new = self.directory / "released.new"
        new.write_text(f"{chunks} {per_second}")
        new.replace(self.directory / "released")

    @property
    def acknowledged(self) -> int:
        """Chunks that the producer knows to be in Kafka."""
        journal = self.directory / "acknowledged"
        return journal.read_bytes().count(b"\n") if journal.exists() else 0

    def tend(self) -> None:
        """What a supervisor does: start again whoever has ended by itself, and remember that it did."""
        for name, worker in self.workers.items():
            if name not in self.away and not worker.running:
                self._start_again(name, worker)
        for name, other in (("producer", self.producer), ("gateway", self.gateway), ("trainer", self.trainer)):
            if other.status not in (None, 0):
                self._start_again(f"the {name}", other)

    def _start_again(self, name: str, process: Process) -> None:
        last = (process.output.strip().splitlines() or ["nothing"])[-1]
        self.exits.append(f"{name} ended with {process.status}: {last[:200]}")
        process.start()

    def settle(self, chunks: int) -> float:
        """Wait until `chunks` and all calls are sent and heard, with every broker and worker back; how long it took."""
        start = time.monotonic()
        self.callers.hang_up()
        self.wait_for(lambda: self.acknowledged >= chunks, f"the producer to have sent {chunks} chunks")
        self.wait_for(lambda: self.gateway.metric("undertone_gateway_buffered_bytes") == 0, "the gateway to have sent")
        self.wait_for(lambda: self.lag() == 0, "the workers to have heard all")
        took = time.monotonic() - start
        self.cluster.wait_until_whole()
        return took

    def lag(self) -> int:
        """Records of audio that the group has not committed."""
        committed = self._committed()
        with closing(reader(self.cluster.settings)) as consumer:
            partitions = [TopicPartition(self.topics.call_audio.name, number) for number in range(PARTITIONS)]
            ends = consumer.end_offsets(partitions)
        heard = {partition: max(entry.offset, 0) for partition, entry in committed.items()}
        return sum(end - heard.get(partition, 0) for partition, end in ends.items())

    def saved(self) -> bool:
        """Whether all that is committed is in states: no worker that takes over would hear anything again."""
        return not any(entry.metadata for entry in self._committed().values())

    def _committed(self) -> dict[TopicPartition, OffsetAndMetadata]:
        with closing(admin(self.cluster.settings)) as client:
            committed: dict[TopicPartition, OffsetAndMetadata] = client.list_group_offsets(GROUP)[GROUP]
            return committed

    def records(self, topic: str) -> list[ConsumerRecord]:
        """All committed records of a topic."""
        found: list[ConsumerRecord] = []
        with closing(reader(self.cluster.settings, isolation_level="read_uncommitted")) as consumer:
            ends = consumer.end_offsets(assign_all(consumer, topic))
        with closing(reader(self.cluster.settings, auto_offset_reset="earliest")) as consumer:
            assign_all(consumer, topic)

            def at_end() -> bool:
                found.extend(record for some in consumer.poll(timeout_ms=300).values() for record in some)
                return all((consumer.position(partition) or 0) >= end for partition, end in ends.items())

            # Transactions that dead workers have left open hold a reader back until they time out.
            self.wait_for(at_end, f"the end of {topic}")
        return found

    def events(self) -> list[Seen]:
        """All committed events, read from the start."""
        return [Seen(record.partition, record.offset, record.value) for record in self.records("emotion-events")]

    def called(self) -> dict[str, list[AudioChunk]]:
        """What the gateway has written, by stream."""
        streams: dict[str, list[AudioChunk]] = {}
        names = {call.stream for call in self.callers.calls}
        for record in self.records(self.topics.call_audio.name):
            if record.key.decode() in names:
                place = RecordPlace(topic=record.topic, partition=record.partition, offset=record.offset)
                chunk = AudioChunk.from_record(record.key, record.value, record.headers, place)
                streams.setdefault(chunk.stream, []).append(chunk)
        return streams

    def collected(self) -> bool:
        """Whether the trainer's dataset has an entry for every label."""
        return len(list(self.dataset.rglob("labels/*/*/*.json"))) >= len(self.labellers.sent)

    def watch(self) -> Watcher:
        """A reader that goes along."""
        return Watcher(self.cluster.settings, self.topics.emotion_events.name)

    def wait_for(self, true: Callable[[], bool], what: str) -> None:
        """Wait, and tend the processes meanwhile. What does not come in time is a stall, and ends the run."""
        end = time.monotonic() + PATIENCE_S
        while True:
            self.tend()
            try:
                if true():
                    return
            except (KafkaError, UserError, OSError, AssertionError):
                pass  # brokers may be away while they are asked, and a process that has just begun tells no metrics
            if time.monotonic() > end:
                raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}")
            time.sleep(0.2)

    def abort(self) -> None:
        """End every process so that its log says where each of its threads stands."""
        for process in self._processes():
            process.abort()

    def close(self) -> None:
        """Leave no process behind."""
        for process in self._processes():
            process.kill()

    def _processes(self) -> list[Process]:
        return [self.producer, self.gateway, self.trainer, *self.workers.values()]


@contextmanager
def running_stage(plan: Plan, directory: Path) -> Iterator[Stage]:
    """An installation that works; everything is gone after the block, but the logs in `directory`."""
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        links = {name: network.link() for name in (*WORKERS, SPARE)}
        cluster = stack.enter_context(running_cluster(directory, links))
        stage = Stage(cluster, links, plan, directory)
        stack.callback(stage.close)
        try:
            stage.start()
            yield stage
        except TimeoutError:
            stage.abort()
            raise

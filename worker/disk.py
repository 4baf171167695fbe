"""How full Kafka's disks are, as its brokers say: asked by every worker, for a worker is always there.

It takes a thread of its own: a broker that does not answer is waited for for half a minute.
"""

import logging
import threading
from contextlib import closing
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from schemas.errors import UserError
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

_EVERY_S = 60.0
# A worker that has just started has better things to do.
_FIRST_S = 5.0


class KafkaDisk:
    """Keeps the gauges of Kafka's disks; absent where Kafka does not say, or not to this worker."""

    def __init__(self, kafka: KafkaSettings, topic: str, metrics: WorkerMetrics) -> None:
        """`topic` is any that exists: of it sizes are asked for, which are not used."""
        self._kafka = kafka
        self._topic = topic
        self._metrics = metrics
        self._closed = threading.Event()
        self._told = False
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def close(self) -> None:
        """Ask no more. The thread is a daemon, and may be waiting for a broker that is away."""
        self._closed.set()

    def _run(self) -> None:
        self._closed.wait(_FIRST_S)
        while not self._closed.is_set():
            self.look()
            self._closed.wait(_EVERY_S)

    def look(self) -> None:
        """Ask every broker once."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        try:
            with closing(admin(self._kafka)) as client:
                for broker in client.describe_cluster()["brokers"]:
                    found |= self._ask(client, broker["broker_id"])
        except (KafkaError, UserError) as error:
            log.debug("Kafka's disks cannot be asked for: %s", error)
        self._metrics.tell_disks(found)

    def _ask(self, client: KafkaAdminClient, broker: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Free and all bytes by broker and directory; -1 is what a Kafka before 3.3 says."""
        try:
            (answer,) = client.describe_log_dirs({self._topic: [0]}, brokers=[broker])
        except KafkaError as error:
            log.debug("broker %d does not say how full its disks are: %s", broker, error)
            return {}
        directories: list[dict[str, Any]] = [it for it in answer["log_dirs"] if it.get("total_bytes", -1) > 0]
        if not directories and not self._told:
            self._told = True
            log.info(
                "broker %d does not tell this worker how full its disks are: that takes Kafka 3.3, and with ACLs"
                " Describe on the cluster",
                broker,
            )
        return {(str(broker), it["log_dir"]): (it["usable_bytes"], it["total_bytes"]) for it in directories}

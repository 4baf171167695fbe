"""Fences workers that are gone, in the place of those who come after them.

A worker that is killed leaves a transaction open, mostly. It holds back the offsets of its partitions until somebody
ends it: the worker itself when it is back under its name, or the broker when its time is up, which it looks at every
10 s by default. Whoever takes the partitions over need not wait for either. `init_transactions` under the dead
worker's transactional id has its transaction aborted at once, and whatever it may still send is refused.
"""

import logging
import threading
import time
from contextlib import closing

from kafka.admin import TransactionState
from kafka.errors import KafkaError

from schemas.errors import UserError
from undertone.messaging.clients import admin, transactional_producer
from undertone.messaging.settings import KafkaSettings
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

_EVERY_S = 2.0


def group_id(kafka: KafkaSettings) -> str:
    """The group that all workers are in."""
    return f"{kafka.topic_prefix}undertone-workers"


def transactional_id(kafka: KafkaSettings, instance_id: str) -> str:
    """A worker's name as a producer."""
    return f"{kafka.topic_prefix}undertone-worker-{instance_id}"


class Fencing:
    """Looks for open transactions of workers that are not in the group any more, in a thread, and ends them."""

    def __init__(self, kafka: KafkaSettings, transaction_timeout_s: float, metrics: WorkerMetrics) -> None:
        self._kafka = kafka
        self._timeout_ms = int(transaction_timeout_s * 1000)
        self._metrics = metrics
        self._next = 0.0
        self._thread: threading.Thread | None = None

    def request(self) -> None:
        """Begin to look, at most every 2 s; for a loop whose partitions' offsets are held back."""
        if time.monotonic() < self._next or (self._thread and self._thread.is_alive()):
            return
        self._next = time.monotonic() + _EVERY_S
        self._thread = threading.Thread(target=self._run, name="fencing", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for instance_id in self._gone():
                self._fence(instance_id)
        except (KafkaError, UserError) as error:
            # Nothing is lost: the broker ends the transaction when its time is up.
            self._metrics.error("fencing", error)
            log.warning("open transactions of workers that are gone cannot be looked for: %s", error)

    def _gone(self) -> list[str]:
        """Workers with an open transaction that the group does not know any more.

        In this order: a worker joins before it begins its first transaction (`Session.join`). So whoever has one open
        and is no member afterwards has been one, and its session has ended; what it wrote could not be committed.
        """
        prefix = transactional_id(self._kafka, "")
        with closing(admin(self._kafka)) as client:
            listed = client.list_transactions(state_filters=[TransactionState.ONGOING.value])
            open_ids = {it.transactional_id for some in listed.values() for it in some}
            named = {name.removeprefix(prefix) for name in open_ids if name.startswith(prefix)}
            group = group_id(self._kafka)
            members = client.describe_groups([group])[group]["members"] if named else []
        return sorted(named - {member["group_instance_id"] for member in members})

    def _fence(self, instance_id: str) -> None:
        name = transactional_id(self._kafka, instance_id)
        with closing(transactional_producer(self._kafka, name, transaction_timeout_ms=self._timeout_ms)) as producer:
            producer.init_transactions()
        self._metrics.transactions.labels("fenced").inc()
        log.info("worker %s is gone: the transaction that it left open is aborted", instance_id)

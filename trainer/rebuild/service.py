"""`undertone trainer`: the collector, and beside it rebuilds when they are due or asked for, until it is told to stop.

The collector has a thread of its own; the rebuilds have the main thread, whose end takes the training process along.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from kafka.errors import KafkaError

from schemas.errors import UserError
from trainer.collection.dataset import Dataset
from trainer.collection.entry import State
from trainer.collection.metrics import CollectorMetrics
from trainer.collection.service import CollectorService
from trainer.collection.settings import TrainerSettings
from trainer.rebuild import tracking
from trainer.rebuild.drift import DriftWatch
from trainer.rebuild.metrics import RebuildMetrics
from trainer.rebuild.rebuild import Rebuild, Request
from trainer.rebuild.runs import Decision, Runs
from trainer.rebuild.schedule import Schedule
from trainer.rebuild.standing import Standing
from undertone.messaging.settings import KafkaSettings
from undertone.observability.logs import named
from undertone.observability.telemetry import Health
from undertone.registry.contents import read_contents
from undertone.storage.store import StoreAway

log = logging.getLogger(__name__)

_LOOK_S = 0.5
# Publishing waits for Kafka a good half minute, a listing of a large dataset takes as long.
_HEALTH_LIMIT_S = 300.0
_ASKED = "asked for"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0


class TrainerService:
    """Collects and rebuilds, from `run` until `stop` is called."""

    def __init__(
        self, kafka: KafkaSettings, settings: TrainerSettings, request: Request, dataset: Dataset, schedule: Schedule
    ) -> None:
        self._kafka, self._request, self._dataset, self._schedule = kafka, request, dataset, schedule
        self._collector = CollectorService(kafka, settings, dataset, CollectorMetrics(), request.out)
        self._runs = Runs(request.out)
        self.registry = self._collector.metrics.registry
        self.metrics = RebuildMetrics(self.registry, self._new_labels)
        self._standing = Standing(dataset, lambda: read_contents(kafka).in_use().value, self.metrics.stand)
        self._drift = DriftWatch(settings.trainer_prometheus_url, self.metrics.drifted.set)
        self.health = Health(limit_s=_HEALTH_LIMIT_S, waits_for="Kafka")
        self._stop, self._asked = threading.Event(), threading.Event()
        self._fault: BaseException | None = None
        self._last: Decision | None = None
        self._collected_before, self._known = 0, 0
        self._not_before, self._pause_s = 0.0, _FIRST_PAUSE_S

    def stop(self) -> None:
        """Leave off: a training under way is given up. Safe to call from another thread."""
        self._stop.set()
        self._collector.stop()

    def now(self) -> str:
        """Rebuild as soon as may be. Safe to call from another thread; one call counts, however often it comes."""
        self._asked.set()
        return "a rebuild is asked for"

    def run(self, on_ready: Callable[[], None]) -> None:
        """Work.

        Raises:
            UserError: as the collector; what was asked for cannot be.
        """
        began = self._runs.since(datetime.now(UTC))
        self.metrics.tell(self._runs)
        self._last = self._runs.last()
        self._known = self._last.labels if self._last else 0
        # Read before the collector begins: what it adds from then on its counter tells.
        self._dataset.create()
        self._collected_before = sum(entry.state is State.COLLECTED for entry in self._dataset.entries())
        collecting = threading.Thread(target=self._collect, args=[on_ready], name="collector", daemon=True)
        collecting.start()
        try:
            while not self._stopping():
                if self._fault:
                    raise self._fault
                if self.health.ready:
                    self._look()
                if why := self._due(began):
                    self._rebuild(why)
                self._stop.wait(_LOOK_S)
        finally:
            self._collector.stop()
            collecting.join(30)

    def _collect(self, on_ready: Callable[[], None]) -> None:
        try:
            self._collector.run(on_ready)
        except BaseException as error:
            self._fault = error

    def _stopping(self) -> bool:
        """Whether to stop; whoever asks is turning."""
        collector = self._collector.health
        if collector.alive:
            self.health.beat()
        self.health.ready, self.health.waits_for = collector.ready, collector.waits_for
        return self._stop.is_set()

    def _look(self) -> None:
        """How the champion does on the labels that have come."""
        try:
            self._standing.look(self._collected())
        except (UserError, KafkaError, StoreAway, OSError) as error:
            log.warning("the champion cannot be judged by new labels now: %s", error)
            self._collector.metrics.error("standing", error)

    def _due(self, began: datetime) -> str:
        if time.monotonic() < self._not_before or not self.health.ready:
            return ""
        if self._asked.is_set():
            self._asked.clear()
            return _ASKED
        return self._schedule.due(datetime.now(UTC), began, self._last, self._new_labels(), self._drift.figures())

    def _rebuild(self, why: str) -> None:
        log.info("rebuild begins: %s", why)
        self.metrics.running.set(1)
        try:
            done = Rebuild(self._kafka, self._request, lambda line: log.info("rebuild: %s", line), self._stopping).run()
        except (UserError, KafkaError, StoreAway) as error:
            log.warning("rebuild gives up, and comes again in %.0f s: %s", self._pause_s, error)
            self._collector.metrics.error("rebuild", error)
            self._not_before = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            if why == _ASKED:
                self._asked.set()
            return
        finally:
            self.metrics.running.set(0)
        if done is None:
            return
        self._pause_s = _FIRST_PAUSE_S
        folder, decision = done
        self._last, self._known = decision, decision.labels
        self.metrics.tell(self._runs, decision)
        message, extra = named(
            "rebuild ends",
            decision=decision.what,
            candidate=decision.candidate or "none",
            champion=decision.champion,
            labels=decision.labels,
            to_review=decision.to_review,
            seconds=round(decision.seconds),
            report=folder,
            why=decision.why,
        )
        log.info(message, extra=extra)
        if fault := tracking.tell(self._kafka, self._runs, self._stopping):
            self.metrics.untold.inc()
            log.warning("MLflow is not told of it until the next run: %s", fault)

    def _new_labels(self) -> int:
        return max(0, self._collected() - self._known)

    def _collected(self) -> int:
        collected = self._collector.metrics.registry.get_sample_value(
            "undertone_collector_labels_total", {"state": State.COLLECTED}
        )
        return self._collected_before + int(collected or 0)

"""The worker as a service: one session after another until it is told to stop."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing

from kafka.errors import AuthorizationError, FencedInstanceIdError, KafkaError, UnsupportedCodecError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.model import Model
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import check_copartitioned
from undertone.observability.telemetry import Health
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import EngineFailure, PoisonPills
from worker.session import Session
from worker.settings import WorkerSettings

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class Worker:
    """Turns call audio into emotion events until `stop` is called.

    Raises:
        UserError: no Kafka, topics missing or of unequal partitions, a bundle that cannot be used.
    """

    def __init__(self, kafka: KafkaSettings, settings: WorkerSettings, metrics: WorkerMetrics | None = None) -> None:
        self._kafka = kafka
        self._settings = settings
        self.metrics = metrics or WorkerMetrics()
        self.health = Health()
        self._stop = threading.Event()
        self._poison_pills = PoisonPills()
        self._pause_s = _FIRST_PAUSE_S
        self._announced = False
        self._check_topics()
        self._models = self._open_models()
        self.metrics.model_in_use(self._models.current.card)

    def stop(self) -> None:
        """Finish the batch in hand, commit it, and return from `run`. Safe to call from a signal handler."""
        self._stop.set()

    def run(self, on_ready: Callable[[list[int]], None]) -> None:
        """Work. `on_ready` is called with the partitions once they are first being read.

        Raises:
            UserError: another worker has this one's instance id, or the engine fails where no message is to blame.
        """
        try:
            while not self._stop.is_set():
                self._run_session(on_ready)
        finally:
            self._models.close()

    def _run_session(self, on_ready: Callable[[list[int]], None]) -> None:
        try:
            session = Session(
                self._kafka, self._settings, self._models, self._poison_pills, self.metrics, self._stop.is_set
            )
        except UserError as error:
            if not self._announced:
                raise
            self._pause(error)  # it has worked before: Kafka is away for a while
            return
        self.metrics.sessions.inc()
        try:
            session.join()
            while not self._stop.is_set():
                session.run_once()
                self._beat(session, on_ready)
        except EngineFailure as failure:
            self._after_engine_failure(failure)
        except KafkaError as error:
            self._after_kafka_error(session, error)
        finally:
            self.health.ready = False
            session.close()

    def _beat(self, session: Session, on_ready: Callable[[list[int]], None]) -> None:
        self.health.beat()
        self._pause_s = _FIRST_PAUSE_S
        self.health.ready = session.ready
        if session.ready and not self._announced:
            self._announced = True
            on_ready(session.partitions)

    def _after_engine_failure(self, failure: EngineFailure) -> None:
        self.metrics.error("engine", failure.__cause__ or failure)
        log.error("%s; nothing of it was written, its records are read again one by one", failure, exc_info=failure)
        if not self._poison_pills.add(failure):
            raise UserError(f"the engine fails without a message in hand: {failure.__cause__!r}; state is as committed")

    def _after_kafka_error(self, session: Session, error: KafkaError) -> None:
        self.metrics.error("kafka", error)
        if isinstance(error, UnsupportedCodecError):
            raise UserError(f"call-audio holds records that cannot be unpacked here: {error}") from error
        if isinstance(error, AuthorizationError):
            raise UserError(f"Kafka does not allow it: {error}") from error
        if isinstance(error, FencedInstanceIdError) or session.replaced():
            raise UserError(
                f"another worker has taken over instance id {self._settings.instance_id!r}: give each worker"
                " its own --instance-id"
            ) from error
        self._pause(error)

    def _pause(self, error: Exception) -> None:
        log.warning("%s: %s; joining again in %.1f s", type(error).__name__, error, self._pause_s)
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _check_topics(self) -> None:
        topics = Topics(self._kafka.topic_prefix)
        with closing(admin(self._kafka)) as client:
            check_copartitioned(client, topics)
            missing = {topic.name for topic in topics.all} - set(client.list_topics())
        if missing:
            raise UserError(f"topics are missing ({', '.join(sorted(missing))}): run `undertone topics`")

    def _open_models(self) -> ModelFeed:
        if self._settings.model:
            return ModelFeed(Model.load(self._settings.model), self.metrics)
        return ModelFeed.following(self._kafka, self.metrics)

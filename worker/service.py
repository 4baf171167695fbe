"""The worker as a service: one session after another until it is told to stop."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from kafka.errors import AuthorizationError, FencedInstanceIdError, KafkaError, UnsupportedCodecError

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.inference.model import Model
from undertone.messaging.clients import KafkaAway, admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import check_copartitioned
from undertone.observability.spans import Spans, spans
from undertone.observability.telemetry import Health
from undertone.registry.signing import SigningSettings
from worker.disk import KafkaDisk
from worker.hang import HangGuard
from worker.metrics import WorkerMetrics
from worker.models import ModelFeed
from worker.poison_pill import EngineFailure, PoisonPills
from worker.progress import Progress
from worker.session import Session
from worker.settings import WorkerSettings
from worker.timer import Timer
from worker.watch import Watch

log = logging.getLogger(__name__)

# An attempt may itself take a connect timeout, so that a worker is back some 20 s after its Kafka.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
# A pass may hold this many calls that each last as long as a transaction may: flush, offsets, commit, abort. A new
# session connects twice, consumer and producer.
_ALIVE_S, _TRANSACTIONS, _CONNECTS = 90.0, 4, 2


class Stalled(Exception):
    """Partitions do not get on although there is more to read."""


class Worker:
    """Turns call audio into emotion events, from `run` until `stop` is called."""

    def __init__(self, kafka: KafkaSettings, settings: WorkerSettings, metrics: WorkerMetrics | None = None) -> None:
        self._kafka = kafka
        self._settings = settings
        self.metrics = metrics or WorkerMetrics(settings.drift_utterances, settings.queue_names)
        slowest_s = _TRANSACTIONS * settings.transaction_timeout_s, _CONNECTS * kafka.connect_timeout_s
        self.health = Health(max(_ALIVE_S, *slowest_s), waits_for="Kafka")
        self._stop = threading.Event()
        self._poison_pills = PoisonPills()
        self._pause_s = _FIRST_PAUSE_S
        self._announced = False
        self._spans: Spans | None = None
        self._progress = Progress(self.metrics)
        self._gave_up = ""
        self._rejoin = Timer(settings.stall_timeout_s)

    def stop(self) -> None:
        """Finish the batch in hand, commit it, and return from `run`. Safe to call from another thread."""
        self._stop.set()

    def run(self, on_ready: Callable[[list[int]], None]) -> None:
        """Work. `on_ready` is called with the partitions once they are first being read.

        Raises:
            UserError: no Kafka for `broker_wait_s`, topics missing or of unequal partitions, a bundle that cannot be
                used, another worker with this one's instance id, an engine that fails where no message is to blame, no
                progress for `stall_exit_s` though Kafka answers.
        """
        guard = HangGuard(self.health)
        try:
            self._run(on_ready)
        finally:
            guard.close()
        if self._gave_up:
            raise UserError(self._gave_up)

    def _run(self, on_ready: Callable[[list[int]], None]) -> None:
        """One session after another, and what watches them."""
        models = self._open_models()
        if models is None:
            return
        self.metrics.routed(models.route)
        self._spans = spans("worker")
        watch = self._watch()
        disk = KafkaDisk(self._kafka, Topics(self._kafka.topic_prefix).call_audio.name, self.metrics)
        try:
            while not self._stopping():
                self._run_session(models, watch, on_ready)
        finally:
            disk.close()
            watch.close()
            models.close()
            if self._spans:
                self._spans.close()

    def _watch(self) -> Watch:
        topic = Topics(self._kafka.topic_prefix).call_audio.name
        limits = self._settings.stall_timeout_s, self._settings.stall_exit_s
        return Watch(self._kafka, topic, self._progress, self.health, *limits, give_up=self._give_up)

    def _give_up(self, reason: str) -> None:
        self._gave_up = reason
        self._stop.set()

    def _stopping(self) -> bool:
        """Whether to stop. Whoever asks is turning: all that waits for Kafka asks once in a while."""
        self.health.beat()
        return self._stop.is_set()

    def _open_models(self) -> ModelFeed | None:
        """Check the topics and choose the model, once Kafka answers; None where the worker is to stop before."""
        pinned, prior = Model.load(self._settings.model) if self._settings.model else None, self._settings.class_prior
        signing = SigningSettings.load()
        end = time.monotonic() + self._settings.broker_wait_s
        while not self._stopping():
            try:
                self._check_topics()
                if pinned:
                    return ModelFeed(pinned, self.metrics, prior=prior)
                shadow = self._settings.shadow_share > 0
                return ModelFeed.following(self._kafka, self.metrics, prior, signing, shadow=shadow)
            except (KafkaAway, KafkaError) as error:
                if isinstance(error, AuthorizationError) or time.monotonic() >= end:
                    raise UserError(str(error)) from error
                self._pause(error)
        return None

    def _run_session(self, models: ModelFeed, watch: Watch, on_ready: Callable[[list[int]], None]) -> None:
        try:
            session = Session(
                self._kafka,
                self._settings,
                models,
                self._poison_pills,
                self._progress,
                self.metrics,
                self._stopping,
                self._spans,
            )
        except KafkaAway as error:
            self._pause(error)
            return
        self.metrics.sessions.inc()
        try:
            session.join()
            self.health.waits_for = "its partitions"
            while not self._stopping():
                session.run_once()
                self._after_turn(session, watch, on_ready)
            session.save()
        except Stalled as error:
            self._after_stall(error)
        except EngineFailure as failure:
            self._after_engine_failure(failure)
        except KafkaError as error:
            self._after_kafka_error(session, error)
        finally:
            self.health.ready = False
            session.close()

    def _after_turn(self, session: Session, watch: Watch, on_ready: Callable[[list[int]], None]) -> None:
        self._pause_s = _FIRST_PAUSE_S
        if session.ready and not watch.obstacle:
            self.health.ready, self.health.waits_for = True, ""
        else:
            self.health.ready = False
            self.health.waits_for = watch.obstacle or "its partitions"
        stuck = watch.stuck
        if stuck and self._rejoin.due():
            raise Stalled(", ".join(f"partition {number} stands still for {s:.0f} s" for number, s in stuck.items()))
        if session.ready and not self._announced:
            self._announced = True
            on_ready(session.partitions)

    def _after_stall(self, error: "Stalled") -> None:
        self.health.ready = False
        self.metrics.error("stall", error)
        # A client can lose itself in what a broker has answered; a new one asks anew.
        log.error("%s though Kafka answers: joining again with new clients", error)

    def _after_engine_failure(self, failure: EngineFailure) -> None:
        self.metrics.error("engine", failure.__cause__ or failure)
        log.error("%s; nothing of it was written, its records are read again one by one", failure, exc_info=failure)
        if not self._poison_pills.add(failure):
            raise UserError(f"the engine fails without a message in hand: {failure.__cause__!r}; state is as committed")

    def _after_kafka_error(self, session: Session, error: KafkaError) -> None:
        self.health.ready = False
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
        if isinstance(error, KafkaAway):
            what, self.health.waits_for = str(error), "Kafka, which does not answer"
        else:
            what, self.health.waits_for = f"{type(error).__name__}: {error}", f"Kafka ({type(error).__name__})"
        log.warning("%s; joining again in %.1f s", what, self._pause_s)
        self._stop.wait(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _check_topics(self) -> None:
        topics = Topics(self._kafka.topic_prefix)
        with closing(admin(self._kafka)) as client:
            check_copartitioned(client, topics)
            missing = {topic.name for topic in topics.all} - set(client.list_topics())
        if missing:
            raise UserError(f"topics are missing ({', '.join(sorted(missing))}): run `undertone topics`")

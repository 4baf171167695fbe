"""The model in use: a pinned bundle, or the newest of the `models` topic, at start and while the worker runs.

Whoever may write to `models` is a stranger here: each bundle of it is tried in a child process before this one loads
it. A bundle that the operator has pinned, and the one that ships, are not: the start would take half a second longer.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing

from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, KafkaTimeoutError

from schemas.dead_letters import Reason, Rejected
from schemas.errors import UserError, one_line
from schemas.topics import Topics
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.class_prior import CARD, parse_prior
from undertone.inference.model import Model
from undertone.inference.trial import Trial
from undertone.messaging.clients import reader
from undertone.messaging.reading import UnfinishedRead, partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)

# At start the newest bundle that can be used is taken; this many are looked at, 4 MB each.
_CANDIDATES = 3
# Kafka is away, or a transaction on the topic does not end: whoever waits can do something better.
_READ_S = 30.0

Letters = list[tuple[ConsumerRecord, Rejected]]


class ModelFeed:
    """Follows the topic with a reader of its own, outside of the group: every worker reads it whole.

    Without the settings of a Kafka to follow, `current` stays what it is.
    """

    def __init__(
        self, current: Model, metrics: WorkerMetrics, kafka: KafkaSettings | None = None, prior: str = CARD
    ) -> None:
        """`prior` is the class prior that every model gets, as `parse_prior` takes it."""
        self._prior = parse_prior(prior)
        self.current = current.with_prior(self._prior)
        self._kafka = kafka
        self._reader = reader(kafka, auto_offset_reset="earliest") if kafka else None
        self._metrics = metrics
        # Networks that have been run: it is the flatbuffer that can crash a process, the card cannot.
        self._tried = {read_bundle(DEFAULT_BUNDLE).card.network.sha256}
        self._on_trial: tuple[ConsumerRecord, Trial] | None = None

    @classmethod
    def following(cls, kafka: KafkaSettings, metrics: WorkerMetrics, prior: str = CARD) -> "ModelFeed":
        """Start from the newest bundle on `models` that can be used, or from the one that ships.

        Raises:
            UserError: no Kafka, or no such topic; `prior` names a label that the model does not know.
        """
        feed = cls(Model.load(), metrics, kafka)
        feed._prior = parse_prior(prior)
        try:
            newest = deque(_bundles(kafka, feed._reader), maxlen=_CANDIDATES)
        except (KafkaError, UserError):
            feed.close()
            raise
        for record in reversed(newest):
            loaded = feed._load(record)
            if isinstance(loaded, Model):
                feed.current = loaded
                break
        try:
            # One that comes later may have other labels; a name that the first does not know is a slip of the pen.
            feed.current = feed.current.with_prior(feed._prior)
        except UserError:
            feed.close()
            raise
        return feed

    def find(self, version: str) -> Model | None:
        """The model that a stream's state belongs to, if it ships or is still on the topic.

        Raises:
            KafkaTimeoutError: the topic cannot be read to its end now.
        """
        shipped = read_bundle(DEFAULT_BUNDLE)
        if shipped.card.version == version:
            return self._with_prior(Model.load())
        if self._kafka is None:
            return None
        # Not with the reader that follows: what it has not seen yet is still to be taken up.
        with closing(reader(self._kafka)) as client:
            found = [record for record in _bundles(self._kafka, client) if record.key == version.encode()]
        loaded = self._load(found[-1]) if found else None
        return loaded if isinstance(loaded, Model) else None

    def poll(self) -> Letters:
        """Make a bundle that has passed its trial `current`; returns those that cannot be used.

        One at a time, and without waiting for its trial: calls go on being heard.
        """
        if self._on_trial is None:
            record = self._next()
            if record is None:
                return []
            if not self._needs_trial(record):
                return self._take(record)
            self._on_trial = record, Trial(record.value)
        record, trial = self._on_trial
        if not trial.done():
            return []
        self._on_trial = None
        return self._take(record, trial)

    def close(self) -> None:
        """Stop following."""
        if self._on_trial:
            self._on_trial[1].stop()
        if self._reader:
            self._reader.close()

    def _next(self) -> ConsumerRecord | None:
        records = self._reader.poll(timeout_ms=0, max_records=1) if self._reader else {}
        # One without a value withdraws a version; if it is in use it stays so.
        return next((record for some in records.values() for record in some if record.value is not None), None)

    def _take(self, record: ConsumerRecord, trial: Trial | None = None) -> Letters:
        loaded = self._load(record, trial)
        if isinstance(loaded, Rejected):
            return [(record, loaded)]
        self.current = loaded
        return []

    def _with_prior(self, model: Model) -> Model:
        """The model under this worker's class prior, as far as it knows the labels."""
        prior = self._prior
        if not isinstance(prior, str):
            prior = {label: share for label, share in prior.items() if label in model.card.labels}
            if len(prior) < len(self._prior):
                log.warning("model %s does not know all labels of the class prior", model.card.version)
        return model.with_prior(prior)

    def _needs_trial(self, record: ConsumerRecord) -> bool:
        try:
            return read_bundle(record.value).card.network.sha256 not in self._tried
        except UserError:
            return False  # it is refused before anything of it runs

    def _load(self, record: ConsumerRecord, trial: Trial | None = None) -> Model | Rejected:
        """Load a bundle here once it has passed its trial; waits for that where none is given."""
        try:
            if trial is None and self._needs_trial(record):
                trial = Trial(record.value)
            reason = trial.reason() if trial else ""
            if reason:
                raise UserError(reason)
            model = self._with_prior(Model.load(record.value))
        except Exception as error:
            # UserError where all is well, and what a stranger's card may bring about besides.
            self._metrics.models.labels("crashed" if trial and trial.died else "invalid").inc()
            log.error("models, offset %d: %s; it is not used", record.offset, one_line(error, limit=600))
            return Rejected(Reason.INVALID_MODEL, one_line(error))
        self._tried.add(model.card.network.sha256)
        self._metrics.models.labels("loaded").inc()
        log.info("model %s, from offset %d of models", model.card.version, record.offset)
        return model


def _bundles(kafka: KafkaSettings, client: KafkaConsumer) -> Iterator[ConsumerRecord]:
    """Every bundle on the topic as it is now. The client is left at its end."""
    partitions = partitions_of(client, Topics(kafka.topic_prefix).models.name)
    end = time.monotonic() + _READ_S
    try:
        for record in read_to_end(kafka, client, partitions, lambda: time.monotonic() > end):
            if record.value is not None:
                yield record
    except UnfinishedRead:
        raise KafkaTimeoutError(f"models cannot be read to its end within {_READ_S:.0f} s") from None

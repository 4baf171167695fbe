"""Loads bundles of the topic `models`, or says why one cannot be used.

Whoever may write to `models` is a stranger here: each bundle of it is tried in a child process before this one loads
it, and must be signed where keys are set. A bundle that the operator has pinned, and the one that ships, need neither:
the start would take half a second longer.
"""

import logging

from kafka.consumer.fetcher import ConsumerRecord

from schemas.dead_letters import Reason, Rejected
from schemas.errors import UserError, one_line
from undertone.inference.bundle import Unsigned, read_bundle
from undertone.inference.model import Model
from undertone.inference.trial import Trial
from undertone.registry.signing import SigningSettings
from worker.metrics import WorkerMetrics

log = logging.getLogger(__name__)


class ModelLoader:
    """Turns records into models that calls may be heard with."""

    def __init__(
        self, metrics: WorkerMetrics, prior: str | dict[str, float], signing: SigningSettings, tried: set[str]
    ) -> None:
        """`prior` is the class prior that every model gets, `tried` the checksums of networks that need no trial."""
        self.prior = prior
        self._metrics = metrics
        self._signing = signing
        # Networks that have been run: it is the flatbuffer that can crash a process, the card cannot.
        self._tried = tried

    def with_prior(self, model: Model) -> Model:
        """The model under this worker's class prior, as far as it knows the labels."""
        prior = self.prior
        if not isinstance(prior, str):
            prior = {label: share for label, share in prior.items() if label in model.card.labels}
            if len(prior) < len(self.prior):
                log.warning("model %s does not know all labels of the class prior", model.card.version)
        return model.with_prior(prior)

    def needs_trial(self, record: ConsumerRecord) -> bool:
        """Whether a bundle is to run in a child process first."""
        try:
            self._signing.check(record.value)
            return read_bundle(record.value).card.network.sha256 not in self._tried
        except UserError:
            return False  # it is refused before anything of it runs

    def load(self, record: ConsumerRecord, trial: Trial | None = None, *, chosen: bool) -> Model | Rejected:
        """Load a bundle here once it has passed its trial; waits for that where none is given.

        `chosen`: an alias has chosen it by its key, so a card that says otherwise would never be what it names.
        """
        try:
            self._signing.check(record.value)
            if trial is None and self.needs_trial(record):
                trial = Trial(record.value)
            reason = trial.reason() if trial else ""
            if reason:
                raise UserError(reason)
            model = self.with_prior(Model.load(record.value))
            key = (record.key or b"").decode(errors="replace")
            if chosen and model.card.version != key:
                raise UserError(f"its key is {key}, its card's version {model.card.version}")
        except Exception as error:
            # UserError where all is well, and what a stranger's card may bring about besides.
            unsigned = "unsigned" if isinstance(error, Unsigned) else "invalid"
            return self.reject(record, error, "crashed" if trial and trial.died else unsigned)
        self._tried.add(model.card.network.sha256)
        self._metrics.models.labels("loaded").inc()
        log.info("model %s, from offset %d of models", model.card.version, record.offset)
        return model

    def reject(self, record: ConsumerRecord, error: Exception, outcome: str = "invalid") -> Rejected:
        """Count and log a record that cannot be used."""
        self._metrics.models.labels(outcome).inc()
        log.error("models, offset %d: %s; it is not used", record.offset, one_line(error, limit=600))
        return Rejected(Reason.INVALID_MODEL, one_line(error))

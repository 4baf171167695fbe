"""The trainer's metrics, while a run lasts. `docs/reference/metrics.md` is their specification."""

from prometheus_client import CollectorRegistry, Gauge, Info

from trainer.train import Outcome


class TrainerMetrics:
    """One attribute per metric, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.progress = Gauge(
            "undertone_trainer_progress", "Share of the stage that is done.", ["stage"], registry=registry
        )
        self.examples = Gauge("undertone_trainer_examples", "Labelled files in use.", ["label"], registry=registry)
        self.left_out = Gauge("undertone_trainer_left_out", "Files left out, or odd.", ["why"], registry=registry)
        self.uar = Gauge(
            "undertone_trainer_uar", "UAR on held-out speakers, by condition.", ["condition"], registry=registry
        )
        self.seconds = Gauge("undertone_trainer_run_seconds", "How long the last run took.", registry=registry)
        self.model = Info("undertone_trainer_model", "What the last run made.", registry=registry)

    def trained(self, outcome: Outcome) -> None:
        """Account for a finished run."""
        for label in outcome.dataset.labels:
            count = sum(utterance.emotion == label for utterance in outcome.dataset.utterances)
            self.examples.labels(label).set(count)
        for why, count in outcome.labelled.warnings.items():
            self.left_out.labels(why).set(count)
        for condition, result in outcome.results.items():
            self.uar.labels(condition).set(result.uar)
        self.seconds.set(outcome.seconds)
        self.model.info({"version": outcome.final.bundle.card.version})

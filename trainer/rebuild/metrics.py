"""Metrics of rebuilds. `docs/reference/metrics.md` is their specification; a test keeps the two equal."""

import time
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from trainer.rebuild.checks import Check
from trainer.rebuild.runs import Decision, Runs, What
from trainer.rebuild.standing import Figures

_GROUP = "group_"


class RebuildMetrics:
    """One attribute per metric, in the registry of whoever serves them."""

    def __init__(self, registry: CollectorRegistry, labels: Callable[[], int] = lambda: 0) -> None:
        """`labels` says how many have come since the last run."""
        self.registry = registry
        self.runs = Counter(
            "undertone_rebuild_runs", "Rebuilds by what became of them.", ["decision"], registry=registry
        )
        self.failed = Counter(
            "undertone_rebuild_failed_checks", "Checks that candidates did not pass.", ["check"], registry=registry
        )
        self.passed = Gauge(
            "undertone_rebuild_check_passed", "Checks of the last candidate, 1 or 0.", ["check"], registry=registry
        )
        self.figure = Gauge("undertone_rebuild_figure", "Their figures.", ["check", "model"], registry=registry)
        self.running = Gauge("undertone_rebuild_running", "1 while a model is made.", registry=registry)
        self.seconds = Gauge("undertone_rebuild_seconds", "How long the last run took.", registry=registry)
        self.snapshot = Gauge("undertone_rebuild_labels", "Labels that the last run had.", registry=registry)
        self.to_review = Gauge(
            "undertone_rebuild_labels_to_review", "Labels of the last run that look wrong.", registry=registry
        )
        new = Gauge("undertone_rebuild_new_labels", "Labels that came since.", registry=registry)
        new.set_function(labels)
        self.untold = Counter(
            "undertone_rebuild_mlflow_errors", "Times that MLflow could not be told.", registry=registry
        )
        self._good: datetime | None = None
        since = Gauge("undertone_rebuild_age_seconds", "Since the last good run began.", registry=registry)
        since.set_function(lambda: time.time() - self._good.timestamp() if self._good else float("nan"))
        self.uar = Gauge("undertone_champion_uar", "UAR of the champion on new labels.", ["version"], registry=registry)
        self.ece = Gauge("undertone_champion_ece", "ECE of the champion on new labels.", ["version"], registry=registry)
        self.judged = Gauge(
            "undertone_champion_labels", "New labels that the two rest on.", ["version"], registry=registry
        )
        self.drifted = Gauge("undertone_rebuild_drifted", "Figures of the calls that have drifted.", registry=registry)
        self.drifted.set(float("nan"))
        for what in What:
            self.runs.labels(what)

    def tell(self, runs: Runs, decision: Decision | None = None) -> None:
        """What a run has come to; None at the start, where an earlier one has."""
        if decision:
            self.runs.labels(decision.what).inc()
            for check in decision.checks:
                if check.passed is False:
                    self.failed.labels(check.name).inc()
        self._good = runs.last_good()
        last = decision or runs.last()
        if last is None:
            return
        self.seconds.set(last.seconds)
        self.snapshot.set(last.labels)
        self.to_review.set(last.to_review)
        self.passed.clear()
        self.figure.clear()
        for check in last.checks:
            self._tell_check(check)

    def stand(self, figures: Figures) -> None:
        """How the champion does on what people have said since it was made."""
        for gauge, value in ((self.uar, figures.uar), (self.ece, figures.ece), (self.judged, figures.labels)):
            gauge.clear()
            gauge.labels(figures.version).set(value)

    def _tell_check(self, check: Check) -> None:
        name = check.about if check.name.startswith(_GROUP) else check.name
        if check.passed is not None:
            self.passed.labels(name).set(check.passed)
        for model, figure in (("candidate", check.candidate), ("champion", check.champion)):
            if figure is not None:
                self.figure.labels(name, model).set(figure)

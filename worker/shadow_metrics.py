"""What the worker's metrics say of a challenger that hears calls beside the champion."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Info

from schemas.card import ModelCard
from schemas.events import UNCERTAIN

_OUTCOMES = ("agrees", "differs", "unmatched")
_CAUSES = ("behind", "cost", "failed")


class ShadowMetrics:
    """A part of `WorkerMetrics`, in its registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.info = Info("undertone_shadow", "The challenger that hears calls unseen.", registry=registry)
        self.chunks = Counter("undertone_shadow_chunks", "Chunks that it has heard.", registry=registry)
        self.streams = Gauge("undertone_shadow_streams", "Streams that it hears.", registry=registry)
        self.utterances = Counter(
            "undertone_shadow_utterances", "Utterances by whether both said the same.", ["outcome"], registry=registry
        )
        self.segments = Counter(
            "undertone_shadow_segments", "Utterances by the label that it gave.", ["label"], registry=registry
        )
        self.seconds = Counter("undertone_shadow_seconds", "Processor time that it has taken.", registry=registry)
        self.dropped = Counter(
            "undertone_shadow_dropped", "Times that it was given up for a while.", ["cause"], registry=registry
        )
        for outcome in _OUTCOMES:
            self.utterances.labels(outcome)
        for cause in _CAUSES:
            self.dropped.labels(cause)

    def begin(self, card: ModelCard | None) -> None:
        """Another challenger hears from now on, or none."""
        self.info.info({"version": card.version if card else ""})
        self.segments.clear()
        for label in (*card.labels, UNCERTAIN) if card else ():
            self.segments.labels(label)

    def compare(self, champion: str | None, challenger: str | None) -> None:
        """Count one utterance: what each of the two said, None where one has not cut it so."""
        if challenger is not None:
            self.segments.labels(challenger).inc()
        if champion is None or challenger is None:
            self.utterances.labels("unmatched").inc()
        else:
            self.utterances.labels("agrees" if champion == challenger else "differs").inc()

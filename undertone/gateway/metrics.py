"""Prometheus metrics of the gateway."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge

from undertone.gateway.refusals import Refusal


class GapCause(StrEnum):
    """Why samples of a stream are missing. `kafka`: they came, and Kafka did not take them."""

    PAUSE = "pause"
    DISCARDED = "discarded"
    LOSS = "loss"
    BROKE_OFF = "broke_off"
    KAFKA = "kafka"


class GatewayMetrics:
    """What the gateway counts, by wire; `registry` may be another's, so that both are served together."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.connections = Counter(
            "undertone_gateway_connections", "Connections taken.", ["wire"], registry=self.registry
        )
        self.open_connections = Gauge(
            "undertone_gateway_open_connections", "Connections open.", ["wire"], registry=self.registry
        )
        self.open_streams = Gauge(
            "undertone_gateway_open_streams", "Streams that have not ended.", ["wire"], registry=self.registry
        )
        self.streams = Counter("undertone_gateway_streams", "Streams opened.", ["wire"], registry=self.registry)
        self.broken_off = Counter(
            "undertone_gateway_broken_off_streams",
            "Times that a stream's wire was cut without an end.",
            ["wire"],
            registry=self.registry,
        )
        self.resumed = Counter(
            "undertone_gateway_resumed_streams",
            "Times that a stream that broke off went on.",
            ["wire"],
            registry=self.registry,
        )
        self._refused = Counter(
            "undertone_gateway_refused",
            "Connections, calls and messages turned away.",
            ["wire", "reason"],
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "undertone_gateway_audio_seconds", "Seconds of audio handed to Kafka.", ["wire"], registry=self.registry
        )
        self._gap_seconds = Counter(
            "undertone_gateway_gap_seconds",
            "Seconds missing in streams.",
            ["wire", "cause"],
            registry=self.registry,
        )
        self.rtp_packets = Counter(
            "undertone_gateway_rtp_packets",
            "Packets of RTP and RTCP by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self.buffered_bytes = Gauge(
            "undertone_gateway_buffered_bytes", "Bytes that wait for Kafka.", registry=self.registry
        )

    def begin(self, wire: str) -> None:
        """Let a wire's series begin at 0, so that the first event is an increase, and no call is told as none."""
        for metric in (self.connections, self.streams, self.broken_off, self.resumed, self.audio_seconds):
            metric.labels(wire)
        for gauge in (self.open_connections, self.open_streams):
            gauge.labels(wire)
        for reason in Refusal:
            self._refused.labels(wire, reason)
        for cause in GapCause:
            self._gap_seconds.labels(wire, cause)

    def refused(self, wire: str, reason: Refusal) -> None:
        """Something was turned away."""
        self._refused.labels(wire, reason).inc()

    def gap(self, wire: str, cause: GapCause, seconds: float) -> None:
        """`seconds` of a stream are missing."""
        self._gap_seconds.labels(wire, cause).inc(seconds)

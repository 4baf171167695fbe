"""Prometheus metrics of the producer."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From one network round trip on a quiet broker to a broker that is about to be given up.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class ProducerMetrics:
    """What the producer counts; one instance per process, on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._chunks = Counter("undertone_producer_chunks", "Chunks that Kafka took.", registry=self.registry)
        self._bytes = Counter(
            "undertone_producer_chunk_bytes", "Bytes of audio that Kafka took.", registry=self.registry
        )
        self._failures = Counter(
            "undertone_producer_failed_chunks",
            "Chunks that Kafka did not take.",
            ["error_type"],
            registry=self.registry,
        )
        self._sources = Counter(
            "undertone_producer_sources", "Files or pipes by how they ended.", ["outcome"], registry=self.registry
        )
        self._open = Gauge("undertone_producer_open_streams", "Streams being sent.", registry=self.registry)
        self._late = Histogram(
            "undertone_producer_late_seconds",
            "Seconds from the moment a chunk was due to its sending.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._delivery = Histogram(
            "undertone_producer_delivery_seconds",
            "Seconds from sending a chunk to Kafka's acknowledgement.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def delivered(self, size: int, seconds: float) -> None:
        """Kafka acknowledged a chunk of `size` bytes after `seconds`."""
        self._chunks.inc()
        self._bytes.inc(size)
        self._delivery.observe(seconds)

    def failed(self, error_type: str) -> None:
        """Kafka did not take a chunk."""
        self._failures.labels(error_type).inc()

    def late(self, seconds: float) -> None:
        """A chunk was sent `seconds` after it was due."""
        self._late.observe(max(0.0, seconds))

    def opened(self, streams: int) -> None:
        """`streams` streams began."""
        self._open.inc(streams)

    def closed(self, streams: int, outcome: str) -> None:
        """`streams` streams of one source ended: `sent`, `stopped` or `bad`."""
        self._open.dec(streams)
        self._sources.labels(outcome).inc()

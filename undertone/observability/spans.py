"""Spans for OpenTelemetry, where somebody collects them: a service that is given no endpoint loads nothing of it."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schemas.errors import MissingExtra
from schemas.tracing import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# OpenTelemetry's own variables: it reads all of them by itself.
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CLOSE_MS = 5_000


def spans(service: str, environ: Mapping[str, str] = os.environ) -> "Spans | None":
    """Where spans go; None where no endpoint is set, or OTEL_SDK_DISABLED says so.

    Raises:
        MissingExtra: there is an endpoint, and OpenTelemetry is not installed.
    """
    if not any(environ.get(name) for name in _ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise MissingExtra(
            "spans, which OTEL_EXPORTER_OTLP_ENDPOINT asks for, need opentelemetry-sdk", "otel"
        ) from None
    named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": f"undertone-{service}"}
    provider = TracerProvider(resource=Resource.create(named))
    # A thread of its own, and what it holds is bounded: a collector that is away costs spans and nothing else.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)


class Spans:
    """Sends spans to a collector."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self._tracer = provider.get_tracer("undertone")
        self._kind = SpanKind.CONSUMER
        self._context = TraceContextTextMapPropagator()

    def tell(self, name: str, parent: str, began_ms: int, *, topic: str) -> None:
        """A span from a moment until now, below `parent`, a traceparent. It says nothing of who called, or how."""
        context = self._context.extract({TRACEPARENT: parent})
        attributes = {"messaging.system": "kafka", "messaging.destination.name": topic}
        now_ns = time.time_ns()
        # Kafka's clock may be ahead of ours.
        began_ns = min(began_ms * 1_000_000, now_ns)
        span = self._tracer.start_span(name, context, self._kind, attributes, start_time=began_ns)
        span.end(now_ns)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        self._provider.force_flush(_CLOSE_MS)
        self._provider.shutdown()

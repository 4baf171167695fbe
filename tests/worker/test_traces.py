"""A chunk's `traceparent` on its events: the same whatever happens to workers, in no event's bytes, and as spans."""

import http.server
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schemas.audio import AudioChunk
from schemas.errors import MissingExtra
from schemas.events import STRUCTURED_HEADERS, EventEnvelope
from schemas.tracing import TRACEPARENT
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.observability import spans
from worker import traces
from worker.traces import Traces

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
NEVER_S = 60


def parent_of(number: int) -> str:
    return f"00-{TRACE_ID}-{number:016x}-01"


def traced(chunks: list[AudioChunk], first: int = 1) -> list[AudioChunk]:
    """Each chunk with a parent of its own."""
    return [chunk.model_copy(update={"traceparent": parent_of(first + n)}) for n, chunk in enumerate(chunks)]


def call(call_id: str = "call") -> list[AudioChunk]:
    samples, rate = customer()
    return cut(samples, rate, rate // 4, call_id=call_id)


def test_an_event_has_that_of_the_chunk_in_which_its_sound_ends() -> None:
    samples, rate = customer()
    chunks = traced(cut(samples, rate, rate // 4, partition=3))
    noted = Traces()
    noted.note(chunks)
    by_place = {chunk.place.offset: chunk.traceparent for chunk in chunks if chunk.place}
    written = Engine(Model.load()).feed(chunks).written
    assert {event.kind for event in written} == {"update", "segment", "summary"}
    for event in written:
        assert event.last is not None
        parent = by_place[event.last[1]]
        assert parent is not None
        assert noted.headers(event) == [*STRUCTURED_HEADERS, (TRACEPARENT, parent.encode())]
        assert TRACE_ID.encode() not in event.value
        # Who has not heard it knows nothing of it.
        assert Traces().headers(event) is STRUCTURED_HEADERS
    plain = Engine(Model.load()).feed(cut(samples, rate, rate // 4, partition=3)).written
    assert [event.value for event in plain] == [event.value for event in written]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_REMEMBERED", 10)
    samples, rate = customer()
    noted = Traces()
    for chunk in traced(cut(samples, rate, rate // 4, partition=3)):
        noted.note([chunk])
    assert len(noted._by_place) == 10


@pytest.mark.slow
def test_kills_and_repeats_change_nothing(installation: Installation) -> None:
    chunks = traced(call())
    # Some come twice, the second time with another parent: those that were heard first count.
    twice = traced(chunks[10:20], first=900)
    installation.send([*chunks[:20], *twice, *chunks[20:]])
    for step in ("flush", "commit_transaction"):
        program = ("-m", "tests.support.crashing_worker", "before", step, "8")
        dying = installation.worker(program=program, batch_records=3, batch_ms=20, state_seconds=NEVER_S)
        assert dying.process.wait(timeout=PATIENCE_S) == 9
    installation.worker().ready()
    alone = lines(hear(Engine(Model.load()), call()))
    audio = installation.records(installation.topics.call_audio.name, lambda found: len(found) == len(chunks) + 10)
    parents = {record.offset: dict(record.headers)[TRACEPARENT] for record in audio}
    records = installation.records(installation.topics.emotion_events.name, lambda found: len(found) >= len(alone))
    events = [EventEnvelope.model_validate_json(record.value) for record in records]
    assert lines(events) == alone
    for record, event in zip(records, events, strict=True):
        assert event.data.audio is not None
        parent = parents[event.data.audio.last_offset]
        assert dict(record.headers)[TRACEPARENT] == parent
        assert int(parent[36:52], 16) < 900


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans as OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        """What has come."""
        return [ExportTraceServiceRequest.FromString(body) for body in self.bodies]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_events_become_spans_where_there_is_an_endpoint(
    kafka_environment: dict[str, str], installation: Installation, collector: Collector
) -> None:
    kafka_environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.server_address[1]}"
    kafka_environment["OTEL_EXPORTER_OTLP_COMPRESSION"] = "none"
    worker = installation.worker().ready()
    installation.send(traced(call("secret-call")) + call("untraced"))
    alone = hear(Engine(Model.load()), call())
    installation.events(2 * len(alone))
    assert worker.stop() == 0
    wait_for(lambda: bool(collector.bodies), "spans")
    resources = [one for request in collector.requests for one in request.resource_spans]
    found = [span for one in resources for scope in one.scope_spans for span in scope.spans]
    # One for each event of the call that has a trace, and none for the other.
    assert len(found) == len(alone)
    assert {span.name for span in found} == {"update event", "segment event", "summary event"}
    assert {span.trace_id.hex() for span in found} == {TRACE_ID}
    assert all(0 < int(span.parent_span_id.hex(), 16) <= len(call()) for span in found)
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in found)
    names = {attribute.key: attribute.value.string_value for attribute in resources[0].resource.attributes}
    assert names["service.name"] == "undertone-worker"
    assert not any(b"secret-call" in body or b"angry" in body for body in collector.bodies)


def test_without_an_endpoint_nothing_of_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spans.spans("worker", {}) is None
    disabled = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"}
    assert spans.spans("worker", disabled) is None
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra, match="otel"):
        spans.spans("worker", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})

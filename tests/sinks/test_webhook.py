"""`undertone sink webhook`: signed, tried again, given up after n tries; each event at least once."""

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from schemas.dead_letters import Reason
from schemas.errors import UserError
from tests.sinks.carrying import Carrying, call_events
from tests.sinks.receiver import SECRET, Receiver, answer, receiving
from tests.sinks.test_fencing import SOURCE, record
from tests.support.installation import wait_for
from tests.support.paths import ROOT
from undertone.sinks import webhook as module
from undertone.sinks.events import stored_event
from undertone.sinks.metrics import SinkMetrics
from undertone.sinks.target import Batch, Written
from undertone.sinks.webhook import Webhook, WebhookOptions
from undertone.webhooks.request import retry_after_s
from undertone.webhooks.signature import Signer

VARIABLE = "UNDERTONE_SINK_SECRET"

EVENTS = call_events("call", ["calm", "angry"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as it:
        yield it


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without waiting."""
    monkeypatch.setattr(module, "_BACKOFF", lambda state: 0.0)


def post(receiver: Receiver, stopping: threading.Event | None = None, **options: object) -> Written:
    """Post EVENTS, as those of partition 0 from offset 0."""
    options = {"url": receiver.url} | options
    target = Webhook(WebhookOptions(**options), Signer(SECRET, VARIABLE), SinkMetrics())  # type: ignore[arg-type]
    target.open()
    batch = Batch([stored_event(record(event, n)) for n, event in enumerate(EVENTS)], {0: len(EVENTS), 1: 7})
    try:
        return target.write(SOURCE, batch, (stopping or threading.Event()).is_set)
    finally:
        target.close()


def test_each_event_is_one_signed_request_as_it_lies_on_kafka(receiver: Receiver) -> None:
    written = post(receiver)
    assert written.positions == {0: len(EVENTS), 1: 7}
    assert [body for _, _, body in receiver.requests] == [event.model_dump_json().encode() for event in EVENTS]
    for (_, headers, _), event in zip(receiver.requests, EVENTS, strict=True):
        assert headers["webhook-id"] == headers["idempotency-key"] == event.id
        assert headers["content-type"].startswith("application/cloudevents+json")
    assert receiver.ids == [event.id for event in EVENTS]  # which is only so where the signatures are right


def test_a_batch_is_an_array(receiver: Receiver) -> None:
    post(receiver, batch=3)
    assert len(receiver.requests) == 2
    assert receiver.requests[0][1]["content-type"].startswith("application/cloudevents-batch+json")
    assert receiver.ids == [event.id for event in EVENTS]


@pytest.mark.usefixtures("_at_once")
def test_what_is_refused_again_and_again_is_given_up_and_the_rest_goes_on(receiver: Receiver) -> None:
    receiver.misbehave = lambda handler, body: EVENTS[1].id.encode() in body and answer(handler, 500)
    written = post(receiver, tries=3)
    assert len(receiver.requests) == len(EVENTS) + 2
    assert receiver.ids == [event.id for event in EVENTS if event is not EVENTS[1]]
    ((letter, why),) = written.rejected
    assert (letter.offset, why.reason) == (1, Reason.NOT_DELIVERED)
    assert why.detail == "given up after 3 tries, the last: status 500"
    assert written.positions[0] == len(EVENTS)


@pytest.mark.usefixtures("_at_once")
def test_it_waits_for_as_long_as_it_is_asked_to(receiver: Receiver) -> None:
    receiver.misbehave = lambda handler, body: len(receiver.requests) == 1 and answer(handler, 429, retry_after="2")
    post(receiver)
    assert receiver.requests[1][0] - receiver.requests[0][0] >= 1.9
    assert receiver.ids == [event.id for event in EVENTS]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("7", 7, 7), ("999999", 300, 300), ("Fri, 01 Jan 2038 00:00:00 GMT", 300, 300), ("soon", 0, 0), ("-5", 0, 0)],
)
def test_retry_after_is_seconds_or_a_date(text: str, least: float, most: float) -> None:
    assert least <= retry_after_s({"retry-after": text}) <= most


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("kind", ["redirect", "endless", "drip", "hangs_up"])
def test_a_strange_answer_costs_no_more_than_it_may(receiver: Receiver, kind: str) -> None:
    """It follows nobody, reads a bounded part of an answer, and waits for no longer than it was told."""
    with receiving() as elsewhere:

        def misbehave(handler: BaseHTTPRequestHandler, body: bytes) -> bool:
            if kind == "redirect":
                return answer(handler, 307, location=elsewhere.url)
            if kind == "hangs_up":
                handler.connection.close()
                handler.close_connection = True
                return True
            return endless(handler, pause_s=0.0 if kind == "endless" else 0.2)

        receiver.misbehave = misbehave
        began = time.monotonic()
        written = post(receiver, tries=2, timeout_s=0.5)
        assert time.monotonic() - began < 60
        assert not elsewhere.requests
    # An answer of 200 that goes on for ever is a yes; one that does not come to its end in time is not.
    assert len(written.rejected) == (0 if kind == "endless" else len(EVENTS))


def endless(handler: BaseHTTPRequestHandler, pause_s: float) -> bool:
    handler.send_response(200)
    handler.send_header("content-length", str(10**12))
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * (1 if pause_s else 65536))
            time.sleep(pause_s)
    except OSError:
        handler.close_connection = True
    return True


@pytest.mark.usefixtures("_at_once")
def test_one_that_is_away_is_waited_for(receiver: Receiver) -> None:
    receiver.stop()
    back = threading.Timer(2.0, receiver.start)
    back.start()
    written = post(receiver, tries=1)
    assert not written.rejected
    assert receiver.ids == [event.id for event in EVENTS]


def test_told_to_stop_it_says_how_far_it_has_come(receiver: Receiver) -> None:
    stopping = threading.Event()

    def misbehave(handler: BaseHTTPRequestHandler, body: bytes) -> bool:
        if EVENTS[2].id.encode() not in body:
            return False
        stopping.set()
        return answer(handler, 503)

    receiver.misbehave = misbehave
    written = post(receiver, stopping)
    assert written.positions[0] == 2
    assert not written.rejected


@pytest.mark.parametrize(
    ("options", "secret", "told"),
    [
        ({"url": "http://example.com/x"}, SECRET, "take https, or --allow-http"),
        ({"url": "ftp://example.com"}, SECRET, "it looks like https://"),
        ({"url": "https://"}, SECRET, "it looks like https://"),
        ({"url": "https://example.com"}, "", "Set UNDERTONE_SINK_SECRET"),
        ({"url": "https://example.com"}, "whsec_!!", "must be base64"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, str], secret: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        Webhook(WebhookOptions(**options), Signer(secret, VARIABLE), SinkMetrics())  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert Webhook(WebhookOptions("http://10.0.0.1/", allow_http=True), Signer(SECRET, VARIABLE), SinkMetrics()).open()


@pytest.mark.slow
def test_a_sink_that_is_killed_delivers_each_event_all_the_same(carrying: Carrying, receiver: Receiver) -> None:
    arguments = ("webhook", "--updates", "--url", receiver.url)
    with carrying.load(calls=150, seconds=15) as load:
        for _ in range(3):
            before = len(receiver.taken)
            sink = carrying.sink("s1", *arguments, sink_secret=SECRET)
            wait_for(lambda: len(receiver.taken) > before or not load.is_alive(), "events", said=sink.last_words)  # noqa: B023
            sink.kill()
    sink = carrying.sink("s1", *arguments, sink_secret=SECRET).ready()
    wait_for(lambda: set(receiver.ids) >= carrying.sent.keys(), "all events", said=sink.last_words)
    assert sink.stop() == 0
    assert set(receiver.ids) == carrying.sent.keys()


@pytest.mark.slow
def test_what_is_given_up_is_a_dead_letter(carrying: Carrying, receiver: Receiver) -> None:
    events = [event for event in EVENTS if event.data.type != "update"]
    receiver.misbehave = lambda handler, body: events[0].id.encode() in body and answer(handler, 400)
    carrying.send(events)
    sink = carrying.sink("s1", "webhook", "--url", receiver.url, "--tries", "2", sink_secret=SECRET)
    (letter,) = carrying.installation.dead_letters(1)
    assert json.loads(letter.value)["id"] == events[0].id
    headers = dict(letter.headers)
    assert headers["undertone_reason"] == b"not_delivered"
    assert headers["undertone_detail"] == b"given up after 2 tries, the last: status 400"
    wait_for(lambda: len(receiver.taken) == len(events) - 1, "the others", said=sink.last_words)
    assert sink.stop() == 0
    # Its place is kept: a restart posts nothing again.
    carrying.send(call_events("another", []))
    sink = carrying.sink("s1", "webhook", "--url", receiver.url, sink_secret=SECRET)
    wait_for(lambda: len(receiver.taken) == len(events), "one more", said=sink.last_words)
    assert sink.stop() == 0


def test_the_program_of_the_page_knows_what_is_ours(receiver: Receiver) -> None:
    page = (ROOT / "docs" / "how-to" / "sinks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(import base64.*?)^```", page, flags=re.M | re.S)
    variables: dict[str, Any] = {}
    exec(code, variables)  # noqa: S102  our own page
    post(receiver)
    for _, headers, body in receiver.requests:
        assert variables["is_ours"](headers, body, SECRET)
        assert not variables["is_ours"](headers, body + b" ", SECRET)
        assert not variables["is_ours"](headers | {"webhook-timestamp": "1"}, body, SECRET)


def test_two_secrets_are_two_signatures(receiver: Receiver) -> None:
    target = Webhook(WebhookOptions(receiver.url), Signer(f"the-old-one {SECRET}", VARIABLE), SinkMetrics())
    batch = Batch([stored_event(record(EVENTS[0], 0))], {0: 1})
    assert target.write(SOURCE, batch, lambda: False).positions == {0: 1}
    assert receiver.ids == [EVENTS[0].id]
    target.close()

"""Where a microphone's sound comes in: who may, from which pages, how much and how fast; and what is forgotten."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.console.web.conftest import StartConsole
from tests.support.console import status
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation
from undertone.console.web import trying

RATE = 16_000
NOISE = np.random.default_rng(1).integers(-9_000, 9_000, 3 * RATE).astype("<i2")
HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec_websocket_version": "13",
    "sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
BLOCK = NOISE[: RATE // 50].tobytes()


def address(url: str) -> str:
    return f"{url.replace('http', 'ws', 1)}/api/try"


@contextmanager
def opened(url: str, **headers: str) -> Iterator[ClientConnection]:
    """A connection, where it is taken."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    with connect(address(url), additional_headers=more, open_timeout=PATIENCE_S) as socket:
        yield socket


@contextmanager
def begun(url: str, **more: str) -> Iterator[tuple[ClientConnection, str]]:
    """A microphone that has begun, and the call that it is."""
    with opened(url) as socket:
        socket.send(json.dumps({"event": "start", "sample_rate": RATE, **more}))
        said = json.loads(socket.recv(timeout=PATIENCE_S))
        assert (said["event"], said["channel"]) == ("started", "customer")
        yield socket, said["call_id"]


def closed(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason that a connection is closed with."""
    with pytest.raises(ConnectionClosed):
        while True:
            socket.recv(timeout=PATIENCE_S)
    assert socket.protocol.close_code is not None
    return socket.protocol.close_code, socket.protocol.close_reason or ""


def answered(url: str, **headers: str) -> int:
    """What a handshake is answered with, 101 where it is taken."""
    try:
        with opened(url, **headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_what_is_sent_is_on_call_audio_as_it_is(installation: Installation, start_console: StartConsole) -> None:
    # A name that somebody asks for is not given: no page can speak into somebody's call.
    with begun(start_console().url, call_id="call-1") as (socket, call_id):
        assert call_id.startswith("try-")
        for start in range(0, len(NOISE), RATE // 50):
            socket.send(NOISE[start : start + RATE // 50].tobytes())
        socket.send('{"event": "stop"}')
        assert closed(socket) == (1000, "")
    chunks = chunks_of_calls(installation, ended(f"{call_id}/customer"))
    assert list(chunks) == [f"{call_id}/customer"]
    assert heard(chunks[f"{call_id}/customer"]).tolist() == NOISE.tolist()


def test_a_page_that_goes_away_has_ended_its_call(installation: Installation, start_console: StartConsole) -> None:
    console = start_console()
    with begun(console.url) as (socket, first), begun(console.url) as (other, second):
        socket.send(BLOCK)
        socket.close()
        other.send(BLOCK)
        # And so has a console that is stopped.
        assert console.stop() == 0
    streams = [f"{one}/customer" for one in (first, second)]
    chunks = chunks_of_calls(installation, ended(*streams))
    assert [len(heard(chunks[stream])) for stream in streams] == [RATE // 50] * 2


def test_who_sends_something_else_is_told(start_console: StartConsole) -> None:
    url = start_console().url
    start = '{"event": "start", "sample_rate": 16000}'
    told = {}
    cases: dict[str, list[str | bytes]] = {
        "no start": [BLOCK],
        "no rate": ['{"event": "start"}'],
        "nested": ["[" * 20_000],
        "odd": [start, b"odd"],
        "twice": [start, start],
        "large": [start, bytes(70_000)],
        # 8 s at once: no microphone.
        "fast": ['{"event": "start", "sample_rate": 4000}', bytes(64_000)],
    }
    for case, messages in cases.items():
        with opened(url) as socket:
            for message in messages:
                socket.send(message)
            told[case] = closed(socket)
    assert told.pop("large")[0] == 1009
    assert told == {
        "no start": (1007, "samples before start"),
        "no rate": (1007, "start without sample_rate"),
        "nested": (1007, "JSON nested too deeply"),
        "odd": (1007, "3 bytes are not whole 16-bit samples"),
        "twice": (1007, "a second start on one connection"),
        "fast": (1008, "more than 5 s ahead of the clock"),
    }


@pytest.mark.slow
def test_who_says_nothing_is_ended_and_makes_room(installation: Installation, start_console: StartConsole) -> None:
    url = start_console(microphones=1).url
    with begun(url) as (silent, call_id):
        silent.send(BLOCK)
        with opened(url) as second:
            assert closed(second) == (1013, "1 connections, the most allowed")
        wanted = f"{trying.PATIENCE_S / 2:g} s of sound within {trying.PATIENCE_S:g} s"
        assert closed(silent) == (1008, f"less than {wanted}")
    chunks = chunks_of_calls(installation, ended(f"{call_id}/customer"))
    assert len(heard(chunks[f"{call_id}/customer"])) == RATE // 50
    with begun(url):
        pass


def test_only_who_may_listen_and_label_and_only_from_our_own_page(start_console: StartConsole) -> None:
    open_to_all = start_console().url
    host = open_to_all.partition("//")[2]
    assert answered(open_to_all, origin=open_to_all) == 101
    assert answered(open_to_all, origin="http://evil.example.com") == 403
    assert answered(open_to_all, origin="null") == 403
    assert answered(open_to_all, origin=open_to_all, sec_fetch_site="cross-site") == 403
    elsewhere = {"host": "evil.example.com", "origin": "http://evil.example.com"}
    assert status(f"{open_to_all}/api/try", **elsewhere, **HANDSHAKE) == 421
    for path in ("/api/try/", "/api/events", "/try", "/"):
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{host}{path}", open_timeout=PATIENCE_S):
            pass
        assert refused.value.response.status_code == 403
    url = start_console("--port", "0", token="all", label_token="some", watch_token="few").url  # noqa: S106
    assert answered(url) == 401
    assert answered(url, authorization="Bearer few") == 403
    assert answered(url, authorization="Bearer guess") == 401
    assert answered(url, authorization="Bearer some") == 101
    assert answered(url, authorization="Bearer all") == 101
    forgotten = f"{url}/api/try/try-{'0' * 32}"
    assert httpx.delete(forgotten, timeout=PATIENCE_S).status_code == 401
    few = {"Authorization": "Bearer few"}
    assert httpx.delete(forgotten, headers=few, timeout=PATIENCE_S).status_code == 403
    # The microphone is lent to this page alone.
    policies = [
        httpx.get(url + path, timeout=PATIENCE_S).headers["permissions-policy"]
        for path in ("/login", "/static/style.css")
    ]
    assert all("microphone=()" in policy for policy in policies)
    answer = httpx.get(f"{url}/try", headers=few, timeout=PATIENCE_S)
    assert "microphone=(self)" in answer.headers["permissions-policy"]


def test_without_microphones_there_is_no_such_page(start_console: StartConsole) -> None:
    url = start_console(microphones=0).url
    assert httpx.get(f"{url}/try", timeout=PATIENCE_S).status_code == 404
    assert answered(url) == 403
    assert httpx.get(f"{url}/api/me", timeout=PATIENCE_S).json()["microphones"] == 0


def test_only_what_was_tried_is_forgotten(start_console: StartConsole) -> None:
    url = start_console().url
    for name in ("call-1", "try-1", f"try-{'0' * 33}", f"try-{'A' * 32}", ""):
        assert httpx.delete(f"{url}/api/try/{name}", timeout=PATIENCE_S).status_code in (404, 405)


def test_what_is_forgotten_is_in_no_answer_any_more(installation: Installation, start_console: StartConsole) -> None:
    installation.worker().ready()
    url = start_console().url
    with begun(url) as (socket, call_id), httpx.stream("GET", f"{url}/api/events", timeout=PATIENCE_S) as events:
        socket.send(NOISE[:RATE].tobytes())
        socket.send('{"event": "stop"}')
        assert any(call_id in line for line in events.iter_lines() if "summary" in line)
    answer = httpx.delete(f"{url}/api/try/{call_id}", timeout=PATIENCE_S)
    assert answer.status_code == 200
    assert {installation.topics.call_audio.name, installation.topics.emotion_events.name} <= answer.json().keys()
    with httpx.stream("GET", f"{url}/api/events?call={call_id}", timeout=PATIENCE_S) as events:
        for line in events.iter_lines():
            assert call_id not in line
            if line == "event: tick":
                break
    tombstones = installation.records(installation.topics.emotion_labels.name, lambda found: len(found) == 1)
    assert [(record.key, record.value) for record in tombstones] == [(call_id.encode(), None)]

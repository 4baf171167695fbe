"""Clients that are wrong, too fast, too slow, too large or not allowed: each is told so by a code and a reason."""

import http
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.sync.client import connect

from tests.gateway.conftest import StartGateway
from tests.gateway.test_protection import certificate
from tests.gateway.websocket import wire_messages
from tests.gateway.websocket.client import SECRET, answer, call, connected, signed
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation
from tests.support.streams import load

SOUND = load("call.flac", 1)[0][:16_000]


def twilio(call_sid: str = "CA1", token: str | None = None, samples: int = 1_600) -> list[str]:
    return wire_messages.twilio({"inbound": SOUND[:samples]}, call_sid, {"token": token} if token else None)


@pytest.fixture
def address(installation: Installation, start_gateway: StartGateway) -> Iterator[tuple[str, int]]:
    """Where a gateway listens that has tokens, and small limits."""
    gateway = start_gateway(
        "--websocket", "127.0.0.1:0",
        tokens="sesame", twilio_auth_token=SECRET, burst_s=3, max_calls=3, resume_s=0, max_call_bytes=48_000,
    )  # fmt: skip
    yield gateway.address("websocket")
    assert gateway.stop() == 0


def test_each_refusal_has_its_code(address: tuple[str, int], installation: Installation) -> None:
    good = {"additional_headers": {"Authorization": "Bearer sesame"}}
    telnyx = wire_messages.telnyx(SOUND[:1600], "t-1")
    long = np.tile(SOUND, 3)
    too_fast = wire_messages.telnyx(np.tile(SOUND, 2), "t-2")
    cases = [
        ("/telnyx", telnyx, {}, 1008, "token"),
        ("/telnyx", telnyx, {"additional_headers": {"Authorization": "Bearer wrong"}}, 1008, "token"),
        ("/telnyx", ["{"], good, 1007, "no JSON"),
        ("/telnyx", [b"\x00"], good, 1007, "binary"),
        ("/telnyx", [*telnyx[:-1], telnyx[2][:60]], good, 1007, "no JSON"),
        ("/telnyx", [json.dumps({"event": "x", "padding": "x" * 66_000})], good, 1009, ""),
        ("/telnyx", too_fast, good, 1008, "ahead of the clock"),
        ("/exotel", wire_messages.exotel(long), good, 1009, "48000 bytes"),
        ("/mod_audio_stream?token=sesame&call_id=f", [b"\x00"], {}, 1007, "whole samples"),
        ("/mod_audio_stream?token=sesame", ["{}", b"\x00\x00"], {}, 1007, "no call_id"),
        ("/microphone", [json.dumps({"event": "start", "sample_rate": 8000})], {}, 1008, "token"),
        ("/microphone?token=sesame", [b"\x00\x00"], {}, 1007, "before start"),
    ]
    for path, messages, options, code, reason in cases:
        found = call(address, path, messages, **options)  # type: ignore[arg-type]
        assert found[0] == code, (path, found)
        assert reason in found[1], (path, found)
    # What was heard before a mangled message is kept, and its stream has ended.
    streams = chunks_of_calls(installation, ended("t-1/customer", "t-2/customer"))
    assert len(heard(streams["t-1/customer"])) == 1600
    assert 3 * 8000 <= len(heard(streams["t-2/customer"])) < 4 * 8000


@pytest.mark.parametrize(
    ("last", "code", "reason"),
    [
        ("x" * 66_000, 1009, "message_too_large"),
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007, "malformed"),
        (b"\x83\x80\0\0\0\0", 1002, "malformed"),
    ],
    ids=["too large", "no UTF-8", "no frame"],
)
def test_what_the_library_refuses_ends_the_streams_at_once(
    installation: Installation, start_gateway: StartGateway, last: str | bytes, code: int, reason: str
) -> None:
    """A text is sent as a message, bytes as they are."""
    gateway = start_gateway("--websocket", "127.0.0.1:0", resume_s=600)
    with connected(gateway.address("websocket"), "/telnyx") as connection:
        for message in wire_messages.telnyx(SOUND[:1600], "t-1")[:-1]:
            connection.send(message)
        if isinstance(last, str):
            connection.send(last)
        else:
            connection.socket.sendall(last)
        assert answer(connection)[0] == code
    assert len(heard(chunks_of_calls(installation, ended("t-1/customer"))["t-1/customer"])) == 1600
    assert gateway.metric("undertone_gateway_refused_total", reason=reason, wire="telnyx") == 1


def test_handshakes_are_turned_away(address: tuple[str, int]) -> None:
    host, port = address
    url = f"ws://{host}:{port}/twilio"
    for path, headers, status in (
        ("/nowhere", {}, 404),
        ("/twilio/", {"X-Twilio-Signature": signed(f"{url}/")}, 404),
        ("/twilio", {}, 403),
        ("/twilio", {"X-Twilio-Signature": signed(f"{url}/")}, 403),
        ("/twilio", {"Authorization": "Bearer sesame"}, 403),
        ("/mod_audio_stream?call_id=a", {}, 403),
        ("/microphone?token=sesame", {"Origin": "https://evil.example.com"}, 403),
    ):
        with pytest.raises(InvalidStatus) as refused, connected(address, path, additional_headers=headers):
            pass
        assert refused.value.response.status_code == status, path
    # Signed as it should be, no token is needed, with which signed requests do not come.
    assert call(address, "/twilio", twilio(), additional_headers={"X-Twilio-Signature": signed(url)}) == (1000, "")
    # A browser that looks at the address is told what there is.
    with pytest.raises(urllib.error.HTTPError) as told:
        urllib.request.urlopen(f"http://{host}:{port}/", timeout=PATIENCE_S)
    assert told.value.code == http.HTTPStatus.NOT_FOUND
    assert "/telnyx" in told.value.read().decode()


def test_too_many_calls_may_try_again_later(address: tuple[str, int]) -> None:
    good = {"additional_headers": {"Authorization": "Bearer sesame"}}
    with (
        connected(address, "/telnyx", **good) as one,
        connected(address, "/telnyx", **good) as two,
        connected(address, "/telnyx", **good) as three,
    ):
        for number, connection in enumerate((one, two, three)):
            for message in wire_messages.telnyx(SOUND[:1600], f"n-{number}")[:-1]:
                connection.send(message)
            connection.ping().wait(PATIENCE_S)
        assert call(address, "/telnyx", wire_messages.telnyx(SOUND[:1600], "n-3"), **good)[0] == 1013
        # Not a second time while it is open.
        assert call(address, "/telnyx", wire_messages.telnyx(SOUND[:1600], "n-0"), **good)[0] == 1008


def test_an_empty_secret_lets_nobody_in_without_a_token_and_tls_is_needed_where_there_is_a_certificate(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path, "gateway")
    gateway = start_gateway(
        "--websocket", "0.0.0.0:0", tls_cert=cert, tls_key=key, tokens="sesame", twilio_auth_token=""
    )
    address = ("127.0.0.1", gateway.address("websocket")[1])
    context = ssl.create_default_context(cafile=str(cert))
    assert call(address, "/twilio", twilio("CA1", "wrong"), ssl=context)[0] == 1008
    assert call(address, "/twilio", twilio("CA2", "sesame"), ssl=context) == (1000, "")
    with pytest.raises((InvalidMessage, EOFError, OSError)), connected(address, "/twilio"):
        pass
    assert chunks_of_calls(installation, ended("CA2/customer")).keys() == {"CA2/customer"}


def test_who_says_nothing_is_let_go(start_gateway: StartGateway) -> None:
    address = start_gateway("--websocket", "127.0.0.1:0", idle_s=1).address("websocket")
    idle = (1008, "no audio for 1 s")
    assert call(address, "/telnyx", []) == idle
    assert call(address, "/telnyx", wire_messages.telnyx(SOUND[:1600])[:-1]) == idle
    assert call(address, "/microphone", [json.dumps({"event": "start", "sample_rate": 8000})]) == idle


def test_compression_is_agreed_where_the_protocol_has_it(address: tuple[str, int]) -> None:
    host, port = address
    for path, compressed in (("/mod_audio_stream?token=sesame&call_id=a", True), ("/telnyx", False)):
        with connect(f"ws://{host}:{port}{path}", open_timeout=PATIENCE_S) as connection:
            assert bool(connection.protocol.extensions) is compressed


def test_a_slow_client_is_heard(address: tuple[str, int], installation: Installation) -> None:
    """A handshake and frames that come a byte at a time."""
    head = (
        "GET /mod_audio_stream?token=sesame&call_id=slow HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    payload = SOUND[:400].astype("<i2").tobytes()
    frame = b"\x82\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload
    closing = b"\x88\x82\0\0\0\0\x03\xe8"
    with socket.create_connection(address, timeout=PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _send_in_bytes(client, head.encode())
        # Who opens a connection waits for the answer (RFC 6455, 4.1); what comes and closes before it is not heard.
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        _send_in_bytes(client, frame + closing)
        while client.recv(4096):
            pass
    np.testing.assert_array_equal(
        heard(chunks_of_calls(installation, ended("slow/customer"))["slow/customer"]), SOUND[:400]
    )


def _send_in_bytes(client: socket.socket, data: bytes) -> None:
    for byte in data:
        client.send(bytes([byte]))

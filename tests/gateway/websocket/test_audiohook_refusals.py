"""AudioHook: who has no right, or does not keep to the protocol, is told so."""

import json
import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from tests.gateway.conftest import StartGateway
from tests.gateway.websocket.audiohook_calls import both_sides, genesys
from tests.gateway.websocket.audiohook_client import ORGANIZATION, Messages, handshake_headers, offer, signed
from tests.gateway.websocket.test_wires import as_ulaw
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import Installation, wait_for

SECRET = b"thirty-two bytes of a secret ..."
SECRETS = json.dumps({"key": "dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCAuLi4=", "other": ""})


def test_only_who_signs_may_talk(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", audiohook_secrets=SECRETS, audiohook_max_age_s=120)
    host, port = gateway.address("websocket")
    path, authority = "/audiohook?site=1", f"{host}:{port}"
    headers = handshake_headers(Messages.session)

    def outcome(own: dict[str, str], organization: str = ORGANIZATION) -> str:
        with genesys(gateway, headers=own, path=path) as client:
            client.send(client.open(organizationId=organization))
            answer = client.answer()
            if answer["type"] == "opened":
                client.close()
                return "opened"
            client.close("disconnect")
            assert answer["type"] == "disconnect"
            return f"{answer['parameters']['reason']}: {answer['parameters']['info']}"

    good = signed(headers, SECRET, path, authority)
    assert outcome(good) == "opened"
    assert outcome(good) == "unauthorized: 401 the signature was used before"
    for wrong in (
        headers,
        {},
        signed(headers, b"wrong", path, authority),
        signed(headers, SECRET, "/audiohook", authority),
        signed(headers, SECRET, path, "elsewhere"),
        signed(headers, SECRET, path, authority, created=time.time() - 3600),
        signed(headers, SECRET, path, authority, leave_out="audiohook-session-id"),
        signed(headers, SECRET, path, authority) | {"Audiohook-Organization-Id": "another"},
    ):
        assert outcome(wrong).startswith("unauthorized: 401 ")
    assert outcome(signed(headers, SECRET, path, authority), "another") == (
        "unauthorized: 401 the organization is not that of the handshake"
    )
    assert outcome(handshake_headers(Messages.session, key="other")) == "opened"
    assert gateway.metric("undertone_gateway_refused_total", reason="unauthorized", wire="audiohook") == 10


def test_a_token_is_the_api_key_where_nobody_signs(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", tokens="one,two")
    with genesys(gateway, headers=handshake_headers(Messages.session, key="two")) as client:
        client.begin()
        client.close()
    with genesys(gateway) as client:
        assert client.told().startswith("unauthorized: 401 a token is needed")
    with genesys(gateway, path="/audiohook?token=one") as client:
        client.begin()
        client.close()


def test_the_public_url_is_what_was_signed(installation: Installation, start_gateway: StartGateway) -> None:
    url = "wss://voice.example.com/calls"
    gateway = start_gateway(
        "--websocket", "127.0.0.1:0", audiohook_secrets=SECRETS, audiohook_max_age_s=120, public_url=url
    )
    headers = handshake_headers(Messages.session)
    with genesys(gateway, headers=signed(headers, SECRET, "/calls/audiohook", "voice.example.com")) as client:
        client.begin()
        client.close()


def test_wrong_messages_are_told_by_their_code(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", burst_s=2, max_call_bytes=9_000)
    wrong: dict[str | bytes, str] = {
        "no JSON": "error: 400 Invalid JSON",
        '{"version": "2"}': "error: 400 id: Field required",
        b"\xff\xff\xff": "error: 400 3 bytes of audio",
        bytes(2 * 15_000): "error: 413 more than 9000 bytes",
    }
    for n, (message, told) in enumerate(wrong.items()):
        with genesys(gateway, f"wrong-{n}") as client:
            client.begin()
            client.send(message)
            assert client.told().startswith(told)
    with genesys(gateway) as client:
        client.send(client.open(offer(["external"], kind="L16")))
        assert client.told().startswith("error: 415 ")
    with genesys(gateway) as client:
        client.send(bytes(2))
        assert client.told() == "error: 409 audio before the session is open"
    with genesys(gateway, "paused") as client:
        client.begin()
        client.send(client.write("paused"), bytes(2))
        assert client.told() == "error: 409 audio while paused"
    with genesys(gateway, "twice") as client, genesys(gateway, "twice") as other:
        client.begin()
        other.send(other.open())
        assert other.told().startswith("error: 409 twice/customer is open already")
        client.close()


def test_too_fast_and_too_large(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", burst_s=2)
    sound = both_sides()
    with genesys(gateway, "fast") as client:
        client.begin()
        client.speak(sound[:160_000])
        assert client.told() == "error: 429 more than 2 s ahead of the clock"
    # What was heard until then is kept, and has its end.
    found = chunks_of_calls(installation, ended("fast/customer", "fast/agent"))
    samples = heard(found["fast/customer"])
    assert 2 * 8000 - 1600 <= len(samples) < 160_000
    assert np.array_equal(samples, as_ulaw(np.ascontiguousarray(sound[: len(samples), 0])))
    with genesys(gateway, "large") as client:
        client.begin()
        client.send("x" * 70_000)
        with pytest.raises(ConnectionClosed):
            client.answer()
        assert client.connection.close_code == 1009
    wait_for(
        lambda: gateway.metric("undertone_gateway_refused_total", reason="message_too_large", wire="audiohook") == 1,
        "the message that was too large",
    )

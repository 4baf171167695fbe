"""chan_websocket on a real Kafka: what Asterisk says is what a worker reads."""

import asyncio
import base64
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from schemas.audio import Encoding, Role
from tests.gateway.conftest import StartGateway
from tests.gateway.websocket.client import connected, cut
from tests.gateway.websocket.test_wires import assert_analyzed
from tests.support.gateway import GatewayProcess, chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.streams import customer, load
from undertone.acoustics.codecs import decode, encode
from undertone.gateway.names import CallName, FileNames, WireNames
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.gateway.websocket.asterisk import call_name
from undertone.gateway.websocket.asterisk_messages import MediaStart, media_start, parse
from undertone.inference.model import Model


def line(connection_id: str, form: str = "ulaw") -> str:
    """MEDIA_START as a line."""
    return f"MEDIA_START connection_id:{connection_id} format:{form} optimal_frame_size:160 ptime:20"


def as_json(connection_id: str, form: str = "slin", **variables: str) -> str:
    """MEDIA_START as JSON."""
    fields = {"connection_id": connection_id, "channel": f"WebSocket/{connection_id}/0x7f", "channel_id": "17.1"}
    return json.dumps({"event": "MEDIA_START"} | fields | {"format": form, "channel_variables": variables})


def say(connection: ClientConnection, samples: NDArray[np.int16], encoding: Encoding, size: int = 160) -> None:
    """Audio, a frame a message."""
    for start in range(0, len(samples), size):
        connection.send(encode(samples[start : start + size], encoding))


def begin(connection: ClientConnection, start: str) -> None:
    """MEDIA_START, to which the gateway says that it is there."""
    connection.send(start)
    said = connection.recv(timeout=PATIENCE_S)
    assert said == ("ANSWER" if start.startswith("MEDIA") else '{"command": "ANSWER"}')


def hung_up(connection: ClientConnection) -> tuple[str, int, str]:
    """The last command before the gateway closes, and how it closes."""
    said = ""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            said = str(connection.recv(timeout=PATIENCE_S))
    frame = closed.value.rcvd
    assert frame is not None
    return said, frame.code, frame.reason


@pytest.mark.slow
def test_every_format_gives_the_events_of_analyze(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    address = gateway.address("websocket")
    sound, _ = customer()
    wide, wide_rate = load("calm.flac")
    wide = np.tile(wide, 3)
    assert wide_rate == 16_000
    calls = {
        "u": (line("u"), Encoding.PCMU, sound),
        "a": (line("a", "alaw"), Encoding.PCMA, sound),
        "s": (as_json("conf", "slin", UNDERTONE_CALL_ID="s"), Encoding.L16LE, sound),
        "w": (as_json("conf", "slin16", UNDERTONE_CALL_ID="w"), Encoding.L16LE, wide),
    }
    for start, encoding, samples in calls.values():
        with connected(address, "/asterisk", subprotocols=["media"]) as connection:
            assert connection.subprotocol == "media"
            begin(connection, start)
            connection.send("MEDIA_XON" if start.startswith("MEDIA") else '{"event": "DTMF_END", "digit": "5"}')
            say(connection, samples, encoding)
    found = chunks_of_calls(installation, ended(*(f"{name}/customer" for name in calls)))
    model = Model.load()
    for name, (_, encoding, samples) in calls.items():
        rate = wide_rate if name == "w" else 8000
        assert_analyzed(model, found[f"{name}/customer"], decode(encode(samples, encoding), encoding), rate)
    assert gateway.stop() == 0


def test_both_sides_of_a_call_are_two_connections(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    address = gateway.address("websocket")
    sound, _ = customer()
    sides = {"in": sound[:8_000], "out": sound[80_000:90_000]}
    with connected(address, "/asterisk?call_id=PBX%2017&role=customer") as one:
        begin(one, line("gateway"))
        with connected(address, "/asterisk?call_id=PBX%2017&role=agent") as other:
            begin(other, line("gateway"))
            say(one, sides["in"], Encoding.PCMU)
            say(other, sides["out"], Encoding.PCMU)
    found = chunks_of_calls(installation, ended("PBX-17/customer", "PBX-17/agent"))
    for name, side in (("customer", "in"), ("agent", "out")):
        assert {chunk.role.value for chunk in found[f"PBX-17/{name}"]} == {name}
        want = decode(encode(sides[side], Encoding.PCMU), Encoding.PCMU)
        assert np.array_equal(heard(found[f"PBX-17/{name}"]), want)


def refused(gateway: GatewayProcess, *messages: str | bytes, path: str = "/asterisk") -> tuple[str, int, str]:
    with connected(gateway.address("websocket"), path) as connection:
        for message in messages:
            connection.send(message)
        return hung_up(connection)


def test_what_is_wrong_is_hung_up(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", burst_s=2)
    json_hangup = '{"command": "HANGUP"}'
    half = "1 bytes of audio are not whole 16-bit samples"
    assert refused(gateway, b"\xff") == ("HANGUP", 1007, "audio before MEDIA_START")
    assert refused(gateway, "hello") == ("HANGUP", 1007, "'hello' begins with no event")
    assert refused(gateway, as_json("c", "opus")) == (
        json_hangup,
        1007,
        "format 'opus': want ulaw, alaw, slin or slin with a rate",
    )
    assert refused(gateway, as_json("c"), b"\xff") == (json_hangup, 1007, half)
    assert refused(gateway, line("c"), line("c")) == ("HANGUP", 1007, "a second MEDIA_START")
    assert refused(gateway, line("c"), path="/asterisk?role=boss")[2] == "role 'boss': want customer or agent"
    assert refused(gateway, line("fast"), bytes(60_000)) == ("HANGUP", 1008, "more than 2 s ahead of the clock")
    assert refused(gateway, line("large"), bytes(70_000))[1] == 1009
    assert gateway.metric("undertone_gateway_refused_total", reason="malformed", wire="asterisk") == 6


def test_a_channel_without_audio_is_hung_up(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", idle_s=3)
    assert refused(gateway, as_json("idle")) == ('{"command": "HANGUP"}', 1008, "no audio for 3 s")


def test_a_token_is_a_password_or_in_the_url(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", tokens="secret")
    basic = {"Authorization": "Basic " + base64.b64encode(b"asterisk:secret").decode()}
    for path, headers in (("/asterisk", basic), ("/asterisk?token=secret", {})):
        with connected(gateway.address("websocket"), path, additional_headers=headers) as connection:
            begin(connection, line("c"))
    with pytest.raises(InvalidStatus), connected(gateway.address("websocket"), "/asterisk?token=wrong"):
        pass


def test_a_channel_that_is_cut_comes_back(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", resume_s=120)
    address = gateway.address("websocket")
    sound = customer()[0][:24_000]
    with connected(address, "/asterisk") as connection:
        begin(connection, line("call"))
        say(connection, sound[:12_000], Encoding.PCMU)
        wait_for(
            lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire="asterisk") == 1.5,
            "what was said so far",
        )
        cut(connection)
    wait_for(
        lambda: gateway.metric("undertone_gateway_broken_off_streams_total", wire="asterisk") == 1, "the broken call"
    )
    with connected(address, "/asterisk") as connection:
        begin(connection, line("call"))
        say(connection, sound[12_000:], Encoding.PCMU)
    whole = heard(chunks_of_calls(installation, ended("call/customer"))["call/customer"])
    want = decode(encode(sound, Encoding.PCMU), Encoding.PCMU)
    missing = len(whole) - len(want)
    assert missing > 0
    assert np.array_equal(whole, np.insert(want, 12_000, np.zeros(missing, np.int16)))


def start_of(text: str) -> MediaStart:
    return media_start(parse(text))


def test_names() -> None:
    def name(start: str, **query: str) -> CallName:
        return asyncio.run(call_name(WireNames(), start_of(start), query))

    assert name(line("c1")) == CallName("c1")
    assert name(as_json("conf")) == CallName("17.1")
    assert name(as_json("conf"), call_id="q", channel="left") == CallName("q", "left")
    variables = {"UNDERTONE_CALL_ID": "v", "UNDERTONE_ROLE": "agent"}
    assert name(as_json("conf", **variables), call_id="q") == CallName("v", "agent", Role.AGENT)
    assert name(as_json("conf", UNDERTONE_ROLE="agent", UNDERTONE_CHANNEL="b"), role="customer") == CallName(
        "17.1", "b", Role.AGENT
    )
    with pytest.raises(MalformedMessage, match="role 'boss'"):
        name(as_json("conf"), role="boss")


def test_names_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("key,call_id,channel,role\n17.1,first,left,agent\nconf,second,,\n")
    names = FileNames(path)

    def name(start: str, **query: str) -> CallName:
        return asyncio.run(call_name(names, start_of(start), query))

    assert name(as_json("conf")) == CallName("first", "left", Role.AGENT)
    assert name(line("conf")) == CallName("second")
    assert name(line("conf"), role="agent") == CallName("second", "agent", Role.AGENT)
    assert name(line("other"), call_id="17.1", channel="right") == CallName("first", "right", Role.AGENT)
    for unknown in ({}, {"call_id": "own"}):
        with pytest.raises(Refused) as told:
            name(line("other"), **unknown)
        assert told.value.reason is Refusal.UNKNOWN_CALL

"""AudioHook on a real Kafka: what Genesys says is what a worker reads, and who has no right is told so."""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from schemas.audio import Encoding
from tests.gateway.conftest import StartGateway
from tests.gateway.websocket.audiohook_client import ORGANIZATION, Messages, handshake_headers, offer, signed
from tests.gateway.websocket.client import connected, cut
from tests.gateway.websocket.test_wires import as_ulaw, assert_analyzed
from tests.support.gateway import GatewayProcess, chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.streams import customer, load
from undertone.acoustics.codecs import decode, encode
from undertone.inference.model import Model

SECRET = b"thirty-two bytes of a secret ..."
SECRETS = json.dumps({"key": "dGhpcnR5LXR3byBieXRlcyBvZiBhIHNlY3JldCAuLi4=", "other": ""})


class Genesys(Messages):
    """A client on a connection."""

    connection: ClientConnection

    def send(self, *messages: str | bytes) -> None:
        """Send, as fast as it is taken; a gateway that has closed meanwhile has answered."""
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                self.connection.send(message)

    def answer(self) -> dict[str, Any]:
        """The gateway's next message."""
        return self.read(self.connection.recv(timeout=PATIENCE_S))

    def begin(self, media: list[dict[str, Any]] | None = None, **parameters: Any) -> None:
        """`open`, which is agreed to."""
        self.send(self.open(media, **parameters))
        opened = self.answer()
        assert opened["type"] == "opened", opened

    def speak(self, samples: NDArray[np.int16], size: int = 1600) -> None:
        """Audio, int16 [n, channels], as mu-law."""
        for start in range(0, len(samples), size):
            piece = np.ascontiguousarray(samples[start : start + size])
            self.send(encode(piece.reshape(-1), Encoding.PCMU))
            self.position += len(piece)

    def close(self, reason: str = "end") -> None:
        """`close`, to which the gateway says `closed` and leaves the socket to the client."""
        self.send(self.write("close", reason=reason))
        assert self.answer()["type"] == "closed"
        self.connection.close()

    def told(self) -> str:
        """What the gateway disconnects for; the client closes, as the protocol has it."""
        while (answer := self.answer())["type"] != "disconnect":
            pass
        self.close("disconnect")
        return f"{answer['parameters']['reason']}: {answer['parameters']['info']}"


@contextlib.contextmanager
def genesys(
    gateway: GatewayProcess, name: str = "call-1", headers: dict[str, str] | None = None, path: str = "/audiohook"
) -> Iterator[Genesys]:
    client = Genesys(conversation=name)
    own = handshake_headers(client.session) if headers is None else headers
    with connected(gateway.address("websocket"), path, additional_headers=own) as client.connection:
        yield client


def both_sides() -> NDArray[np.int16]:
    """The sample call, external left: int16 [n, 2]."""
    sound, _ = customer()
    return np.stack([sound, load("call.flac", 0)[0]], axis=1)


@pytest.mark.slow
def test_a_call_gives_the_events_of_analyze(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    sound = both_sides()
    with genesys(gateway, "both") as client:
        client.begin()
        client.speak(sound)
        client.send(client.write("ping"))
        assert client.answer()["type"] == "pong"
        client.close()
    with genesys(gateway, "one") as client:
        client.begin(offer(["internal"]))
        client.speak(sound[:80_000, 1:], size=801)
        client.close()
    found = chunks_of_calls(installation, ended("both/customer", "both/agent", "one/agent"))
    assert found.keys() == {"both/customer", "both/agent", "one/agent"}
    model = Model.load()
    for name, samples in (("customer", sound[:, 0]), ("agent", sound[:, 1])):
        assert {(chunk.role.value, chunk.encoding) for chunk in found[f"both/{name}"]} == {(name, Encoding.PCMU)}
        assert_analyzed(model, found[f"both/{name}"], as_ulaw(np.ascontiguousarray(samples)), 8000)
    assert np.array_equal(heard(found["one/agent"]), as_ulaw(np.ascontiguousarray(sound[:80_000, 1])))
    assert "position is" not in gateway.output
    assert gateway.stop() == 0


def test_pauses_and_discards_are_gaps_to_the_sample(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", burst_s=10)
    sound = both_sides()[:40_000]
    with genesys(gateway) as client:
        client.begin()
        client.speak(sound[:10_001])
        client.send(client.skip("discarded", 12_345))
        client.speak(sound[10_001:20_000])
        client.send(client.write("paused"), client.write("ping"))
        assert client.answer()["type"] == "pong"
        client.send(client.skip("resumed", 80_007))
        client.speak(sound[20_000:])
        client.close()
    found = chunks_of_calls(installation, ended("call-1/customer", "call-1/agent"))
    for side, name in enumerate(("customer", "agent")):
        want = as_ulaw(np.ascontiguousarray(sound[:, side]))
        want = np.insert(want, [10_001] * 12_345 + [20_000] * 80_007, 0)
        assert np.array_equal(heard(found[f"call-1/{name}"]), want)
        begins = [chunk.first_sample for chunk in found[f"call-1/{name}"]]
        assert {10_001 + 12_345, 20_000 + 12_345 + 80_007} <= set(begins)
    seconds = gateway.metric("undertone_gateway_gap_seconds_total", wire="audiohook", cause="pause")
    assert seconds == pytest.approx(2 * 80_007 / 8000)


def test_a_probe_makes_no_call(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    with genesys(gateway, "00000000-0000-0000-0000-000000000000") as client:
        client.begin()
        client.close()
    assert gateway.metric("undertone_gateway_streams_total", wire="audiohook") == 0
    assert gateway.metric("undertone_gateway_connections_total", wire="audiohook") == 1


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


def test_a_call_that_is_cut_comes_back(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", resume_s=120)
    sound = both_sides()[:32_000]
    with genesys(gateway) as client:
        client.begin()
        client.speak(sound[:16_000])
        wait_for(
            lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire="audiohook") == 4,
            "what was said so far",
        )
        cut(client.connection)
        away = time.monotonic()
    wait_for(
        lambda: gateway.metric("undertone_gateway_broken_off_streams_total", wire="audiohook") == 2, "the broken call"
    )
    with genesys(gateway) as client:
        client.begin(continuedSessions=[{"id": "x", "serverseq": 1, "clientseq": 1}])
        away = time.monotonic() - away
        client.speak(sound[16_000:24_000])
        client.close("reconnect")  # and once more, as the protocol has it
    with genesys(gateway) as client:
        client.begin()
        client.speak(sound[24_000:])
        client.close()
    found = chunks_of_calls(installation, ended("call-1/customer", "call-1/agent"))
    for side, name in enumerate(("customer", "agent")):
        chunks = found[f"call-1/{name}"]
        assert len({chunk.start_time for chunk in chunks}) == 1
        whole, want = heard(chunks), as_ulaw(np.ascontiguousarray(sound[:, side]))
        assert np.array_equal(whole[:16_000], want[:16_000])
        assert np.array_equal(whole[-8_000:], want[24_000:])
        gaps = [b.first_sample - a.first_sample - a.samples for a, b in itertools.pairwise(chunks)]
        assert sum(gap > 0 for gap in gaps) == 2
        assert len(whole) - len(want) == sum(gaps)
    assert gateway.metric("undertone_gateway_resumed_streams_total", wire="audiohook") == 4


def test_a_session_takes_over_from_the_one_that_it_continues(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    sound = both_sides()[:24_000]
    with genesys(gateway) as old, genesys(gateway, headers={}) as new:
        old.begin()
        old.speak(sound[:8_000])
        wait_for(
            lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire="audiohook") == 2,
            "what was said so far",
        )
        new.session = "11111111-84d3-4570-ac13-9a62d8f514c0"
        new.begin(continuedSessions=[{"id": old.session, "serverseq": 1, "clientseq": 1}])
        old.speak(sound[8_000:16_000])  # on its way when the client gave it up: not heard
        old.close("reconnect")
        new.speak(sound[16_000:])
        new.close()
    found = chunks_of_calls(installation, ended("call-1/customer", "call-1/agent"))
    for side, name in enumerate(("customer", "agent")):
        chunks, want = found[f"call-1/{name}"], as_ulaw(np.ascontiguousarray(sound[:, side]))
        assert len({chunk.start_time for chunk in chunks}) == 1
        spoken = np.concatenate([decode(chunk.audio, chunk.encoding) for chunk in chunks])
        assert np.array_equal(spoken, np.delete(want, np.s_[8_000:16_000]))


def test_running_calls_go_on_while_the_gateway_stops(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", drain_s=300)
    sound = both_sides()[:16_000]
    with genesys(gateway, "running") as client:
        client.begin()
        client.speak(sound[:8_000])
        gateway.process.terminate()
        wait_for(lambda: "stopping" in gateway.output, "the signal", said=lambda: gateway.output)
        with genesys(gateway, "new") as other:
            other.send(other.open())
            assert other.told() == "error: 503 this gateway is about to stop"
        client.speak(sound[8_000:])
        client.close()
    assert gateway.process.wait(PATIENCE_S) == 0
    found = chunks_of_calls(installation, ended("running/customer", "running/agent"))
    assert found.keys() == {"running/customer", "running/agent"}
    assert np.array_equal(heard(found["running/customer"]), as_ulaw(np.ascontiguousarray(sound[:, 0])))


@pytest.mark.slow
def test_a_client_that_neither_speaks_nor_pauses_is_idle(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway("--websocket", "127.0.0.1:0", idle_s=5)
    with genesys(gateway, "idle") as client:
        client.begin()
        client.speak(both_sides()[:800])
        assert client.told() == "error: 408 no audio for 5 s"
    with genesys(gateway, "paused") as client:
        client.begin()
        client.send(client.write("paused"))
        until = time.monotonic() + 7
        while time.monotonic() < until:
            client.send(client.write("ping"))
            assert client.answer()["type"] == "pong"
            time.sleep(0.2)
        client.close()

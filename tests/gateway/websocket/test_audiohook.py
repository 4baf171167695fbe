"""AudioHook on a real Kafka: what Genesys says is what a worker reads."""

import itertools
import time

import numpy as np
import pytest

from schemas.audio import Encoding
from tests.gateway.conftest import StartGateway
from tests.gateway.websocket.audiohook_calls import both_sides, genesys
from tests.gateway.websocket.audiohook_client import offer
from tests.gateway.websocket.client import cut
from tests.gateway.websocket.test_wires import as_ulaw, assert_analyzed
from tests.support.gateway import chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation, wait_for
from undertone.acoustics.codecs import decode
from undertone.inference.model import Model


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

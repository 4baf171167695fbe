"""Every WebSocket protocol on a real Kafka: what a platform says is what a worker reads, and `analyze` hears."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.audio import AudioChunk, Encoding, Role
from schemas.events import event_line
from tests.gateway.conftest import StartGateway
from tests.gateway.websocket import wire_messages
from tests.gateway.websocket.client import answer, call, connected, cut
from tests.support.gateway import GatewayProcess, chunks_of_calls, ended, heard
from tests.support.installation import Installation, wait_for
from tests.support.streams import customer, hear, load
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load as load_file
from undertone.inference.call_stream import CallStream
from undertone.inference.engine import Engine
from undertone.inference.model import Model

NORMAL = (1000, "")


def as_ulaw(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """What mu-law leaves of samples."""
    return decode(encode(samples, Encoding.PCMU), Encoding.PCMU)


def pcm(samples: NDArray[np.int16], size: int = 160) -> list[str | bytes]:
    """Binary messages of 20 ms at 8 kHz, of one channel or more."""
    return [np.ascontiguousarray(samples[i : i + size]).astype("<i2").tobytes() for i in range(0, len(samples), size)]


def start(**fields: object) -> str:
    return json.dumps({"event": "start", **fields})


def assert_analyzed(model: Model, chunks: list[AudioChunk], samples: NDArray[np.int16], rate: int) -> None:
    """The chunks hold these samples, and give the events that samples give without a wire."""
    np.testing.assert_array_equal(heard(chunks), samples)
    with CallStream(model, rate, call_id=chunks[0].call_id, channel=chunks[0].channel) as stream:
        events = stream.feed(samples)
    unplaced = [chunk.model_copy(update={"place": None, "role": Role.CUSTOMER}) for chunk in chunks]
    found = hear(Engine(model), unplaced)
    want = [*events, *stream.final_events]
    assert [event_line(e.data) for e in found] == [event_line(e.data) for e in want]
    assert len(want) > 1


@pytest.mark.slow
def test_one_recording_through_every_wire_gives_the_events_of_analyze(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    sound, rate = customer()
    sound = sound[: 20 * rate]
    agent, _ = load("call.flac", 0)
    agent = agent[: 18 * rate]
    wide, wide_rate = load("calm.flac")
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    address = gateway.address("websocket")
    # A browser's rate: what comes out is what `analyze` reads of such a file.
    soundfile.write(tmp_path / "browser.wav", wide, 44_100, subtype="PCM_16")
    resampled, _ = load_file(tmp_path / "browser.wav")
    both = {"inbound": sound, "outbound": agent}
    stereo = np.stack([sound[: len(agent)], agent], axis=1)
    metadata = json.dumps({"call_id": "fs-2", "channels": 2})
    played: list[tuple[str, list[str] | list[str | bytes], dict[str, tuple[NDArray[np.int16], int]]]] = [
        (
            "/twilio",
            wire_messages.twilio(both, "CA1"),
            {"CA1/customer": (as_ulaw(sound), 8000), "CA1/agent": (as_ulaw(agent), 8000)},
        ),
        ("/signalwire", wire_messages.twilio({"inbound": sound}, "sw-1"), {"sw-1/customer": (as_ulaw(sound), 8000)}),
        ("/telnyx", wire_messages.telnyx(sound, "v3:a_b"), {"v3:a_b/customer": (as_ulaw(sound), 8000)}),
        ("/telnyx", wire_messages.telnyx(sound, "v3:l16", "L16"), {"v3:l16/customer": (sound, 8000)}),
        ("/plivo", wire_messages.plivo(sound, "p-1"), {"p-1/customer": (as_ulaw(sound), 8000)}),
        ("/plivo", wire_messages.plivo(sound, "p-2", "audio/x-l16"), {"p-2/customer": (sound, 8000)}),
        ("/exotel", wire_messages.exotel(sound, "ex-1"), {"ex-1/customer": (sound, 8000)}),
        ("/mod_audio_stream", [metadata, *pcm(stereo)],
         {"fs-2/customer": (stereo[:, 0], 8000), "fs-2/agent": (stereo[:, 1], 8000)}),
        (f"/mod_audio_stream?call_id=fs-1&rate={wide_rate}", pcm(wide, 320), {"fs-1/customer": (wide, wide_rate)}),
        ("/microphone", [start(sample_rate=wide_rate, call_id="mic-1"), *pcm(wide, 320), '{"event": "stop"}'],
         {"mic-1/customer": (wide, wide_rate)}),
        ("/microphone", [start(sample_rate=44_100, call_id="mic", role="agent"), *pcm(wide, 128), '{"event": "stop"}'],
         {"mic/agent": (resampled[:, 0], 16_000)}),
    ]  # fmt: skip
    want: dict[str, tuple[NDArray[np.int16], int]] = {}
    for path, messages, streams in played:
        if path.startswith("/mod_audio_stream"):  # it ends with a close of its own
            with connected(address, path) as connection:
                for message in messages:
                    connection.send(message)
        else:
            assert call(address, path, messages) == NORMAL
        want |= streams
    found = chunks_of_calls(installation, ended(*want))
    assert found.keys() == want.keys()
    model = Model.load()
    for name, (samples, hertz) in want.items():
        assert {(chunk.sample_rate, chunk.role.value) for chunk in found[name]} == {(hertz, name.rpartition("/")[2])}
        assert_analyzed(model, found[name], samples, hertz)
    assert {chunk.encoding for chunk in found["CA1/customer"]} == {Encoding.PCMU}
    assert gateway.metric("undertone_gateway_gap_seconds_total", wire="twilio", cause="loss") == 0
    assert gateway.metric("undertone_gateway_audio_seconds_total", wire="twilio") == 38
    assert gateway.stop() == 0


def test_a_handshakes_trace_goes_with_all_chunks(installation: Installation, start_gateway: StartGateway) -> None:
    sound, _ = customer()
    address = start_gateway("--websocket", "127.0.0.1:0").address("websocket")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for name, headers in (("CA1", {"traceparent": trace}), ("CA2", {"traceparent": "nonsense"}), ("CA3", {})):
        messages = wire_messages.twilio({"inbound": sound[:16_000]}, name)
        assert call(address, "/twilio", messages, additional_headers=headers) == NORMAL
    found = chunks_of_calls(installation, ended("CA1/customer", "CA2/customer", "CA3/customer"))
    traces = {stream: {chunk.traceparent for chunk in chunks} for stream, chunks in found.items()}
    assert traces == {"CA1/customer": {trace}, "CA2/customer": {None}, "CA3/customer": {None}}


def test_lost_messages_and_cut_connections_are_gaps(installation: Installation, start_gateway: StartGateway) -> None:
    sound, _ = load("call.flac", 1)
    sound = sound[: 8 * 8000]
    gateway = start_gateway("--websocket", "127.0.0.1:0", resume_s=120)
    address = gateway.address("websocket")
    connecting, beginning, *media, stop = wire_messages.twilio({"inbound": sound}, "CA7")
    lost = {50, 51, 200, 333}
    assert call(address, "/twilio", [connecting, beginning, *without(media, lost), stop]) == NORMAL

    # The same call is cut after two seconds, and comes back a moment later.
    again = [message.replace("CA7", "CA8") for message in (beginning, stop)]
    with connected(address, "/twilio") as connection:
        for message in (connecting, again[0], *media[:100]):
            connection.send(message)
        wait_for(
            lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire="twilio") >= 9.5,
            "what was said so far",
        )
        away = time.monotonic()
        cut(connection)
    wait_for(
        lambda: gateway.metric("undertone_gateway_broken_off_streams_total", wire="twilio") == 1, "the broken call"
    )
    assert call(address, "/twilio", [connecting, again[0], *media[100:], again[1]]) == NORMAL
    away = time.monotonic() - away

    found = chunks_of_calls(installation, ended("CA7/customer", "CA8/customer"))
    want = as_ulaw(sound)
    for i in lost:
        want[i * 160 : (i + 1) * 160] = 0
    np.testing.assert_array_equal(heard(found["CA7/customer"]), want)
    assert gateway.metric("undertone_gateway_gap_seconds_total", wire="twilio", cause="loss") == 0.08
    whole = heard(found["CA8/customer"])
    missing = len(whole) - len(sound)
    assert 0 < missing <= away * 8000
    np.testing.assert_array_equal(whole, np.insert(as_ulaw(sound), 16_000, np.zeros(missing, np.int16)))
    assert len({chunk.start_time for chunk in found["CA8/customer"]}) == 1


def without(messages: list[str], lost: set[int]) -> list[str]:
    return [message for i, message in enumerate(messages) if i not in lost]


def test_messages_out_of_order_are_put_in_order(installation: Installation, start_gateway: StartGateway) -> None:
    sound, _ = load("call.flac", 1)
    sound = sound[: 4 * 8000]
    gateway = start_gateway("--websocket", "127.0.0.1:0")
    connecting, beginning, *media, stop = wire_messages.telnyx(sound, "t-1")
    rng = np.random.default_rng(9)
    order = np.argsort(np.arange(len(media)) + rng.uniform(0, 8, len(media)))
    shuffled = [media[i] for i in order]
    assert call(gateway.address("websocket"), "/telnyx", [connecting, beginning, *shuffled, stop]) == NORMAL
    np.testing.assert_array_equal(
        heard(chunks_of_calls(installation, ended("t-1/customer"))["t-1/customer"]), as_ulaw(sound)
    )


def test_a_call_has_the_name_that_the_operator_gave_it(
    installation: Installation, start_gateway: StartGateway, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = tmp_path_factory.mktemp("names") / "calls.csv"
    names.write_text("key,call_id,channel,role\nCA1,PBX-17,caller,customer\nCA2,PBX-18,,agent\n")
    gateway = start_gateway("--websocket", "127.0.0.1:0", "--calls", str(names))
    address = gateway.address("websocket")
    sound, _ = load("call.flac", 1)
    for sid in ("CA1", "CA2"):
        tracks = {"inbound": sound[:8000], "outbound": sound[:8000]}
        assert call(address, "/twilio", wire_messages.twilio(tracks, sid)) == NORMAL
    code, reason = call(address, "/twilio", wire_messages.twilio({"inbound": sound[:800]}, "CA3"))
    assert (code, "not in --calls" in reason) == (1008, True)
    streams = ("PBX-17/caller", "PBX-17/agent", "PBX-18/agent", "PBX-18/customer")
    found = chunks_of_calls(installation, ended(*streams))
    assert found.keys() == set(streams)
    assert {name: chunks[0].role.value for name, chunks in found.items()} == {
        "PBX-17/caller": "customer",
        "PBX-17/agent": "agent",
        "PBX-18/agent": "agent",
        "PBX-18/customer": "customer",
    }


def test_a_stream_goes_on_while_the_gateway_drains_and_no_new_call_begins(
    installation: Installation, start_gateway: StartGateway
) -> None:
    sound, _ = load("call.flac", 1)
    gateway: GatewayProcess = start_gateway("--websocket", "127.0.0.1:0", drain_s=120)
    address = gateway.address("websocket")
    connecting, beginning, *media, stop = wire_messages.twilio({"inbound": sound[:16_000]}, "CA1")
    with connected(address, "/twilio") as connection:
        for message in (connecting, beginning, *media[:50]):
            connection.send(message)
        wait_for(lambda: gateway.metric("undertone_gateway_open_streams", wire="twilio") == 1, "the stream")
        gateway.process.terminate()
        wait_for(lambda: "stopping" in gateway.output, "the word that it stops")
        assert call(address, "/twilio", wire_messages.twilio({"inbound": sound[:800]}, "CA2"))[0] == 1013
        for message in (*media[50:], stop):
            connection.send(message)
        assert answer(connection) == NORMAL
    assert gateway.stop() == 0
    found = chunks_of_calls(installation, ended("CA1/customer"))
    assert found.keys() == {"CA1/customer"}
    np.testing.assert_array_equal(heard(found["CA1/customer"]), as_ulaw(sound[:16_000]))

"""Calls that break off, come back, are too many, or come while the gateway stops: on a real Kafka."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from tests.gateway.conftest import StartGateway
from tests.gateway.fuzz import Mutator
from tests.support.gateway import AudioSocketClient, GatewayProcess, chunks_of_calls, ended, error, heard
from tests.support.installation import Installation, wait_for
from tests.support.streams import customer
from undertone.gateway.audiosocket_messages import Kind, encode_message
from undertone.gateway.refusals import Refusal

WIRE = "audiosocket"
LISTEN = ("--audiosocket", "127.0.0.1:0")


def open_streams(gateway: GatewayProcess, count: int) -> None:
    wait_for(lambda: gateway.metric("undertone_gateway_open_streams", wire=WIRE) == count, f"{count} open streams")


def broken_off(gateway: GatewayProcess, count: int) -> None:
    wait_for(
        lambda: gateway.metric("undertone_gateway_broken_off_streams_total", wire=WIRE) == count, f"{count} broken off"
    )


def refused(gateway: GatewayProcess, reason: Refusal) -> float:
    return gateway.metric("undertone_gateway_refused_total", wire=WIRE, reason=reason.value)


def test_a_call_that_comes_back_goes_on_with_a_gap_as_long_as_it_was_away(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(*LISTEN, resume_s=600)
    samples, rate = customer()
    before = time.monotonic()
    first = AudioSocketClient(gateway.address(WIRE))
    first.speak(samples[:30_001], rate)
    wait_for(lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire=WIRE) == 3.5, "what was said")
    first.cut()
    broken_off(gateway, 1)
    time.sleep(1)
    second = AudioSocketClient(gateway.address(WIRE), first.call)
    second.speak(samples[30_001:], rate)
    second.end()
    away_s = time.monotonic() - before
    name = f"{first.call}/customer"
    chunks = chunks_of_calls(installation, ended(name))[name]
    sound = heard(chunks)
    gap = len(sound) - len(samples)
    assert 1 <= gap / rate <= away_s
    assert gateway.metric("undertone_gateway_gap_seconds_total", wire=WIRE, cause="broke_off") == pytest.approx(
        gap / rate
    )
    # What was said before the break lies in Kafka at once, in a chunk that ends where the break was.
    edges = [chunk.first_sample + chunk.samples for chunk in chunks]
    assert 30_001 in edges
    assert np.array_equal(np.delete(sound, slice(30_001, 30_001 + gap)), samples)
    assert len({chunk.start_time for chunk in chunks}) == 1
    assert [chunk.end_of_stream for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert gateway.metric("undertone_gateway_resumed_streams_total", wire=WIRE) == 1


def test_a_call_that_does_not_come_back_is_ended_and_a_later_return_is_a_new_stream(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(*LISTEN, resume_s=0.2)
    samples, rate = customer()
    first = AudioSocketClient(gateway.address(WIRE))
    first.speak(samples[:10_000], rate)
    open_streams(gateway, 1)
    first.socket.close()
    open_streams(gateway, 0)
    second = AudioSocketClient(gateway.address(WIRE), first.call)
    second.speak(samples[10_000:30_000], rate)
    second.end()
    name = f"{first.call}/customer"
    chunks = chunks_of_calls(installation, lambda found: sum(c.end_of_stream for c in found.get(name, ())) == 2)[name]
    old, new = sorted({chunk.start_time for chunk in chunks})
    assert np.array_equal(heard(c for c in chunks if c.start_time == old), samples[:10_000])
    assert np.array_equal(heard(c for c in chunks if c.start_time == new), samples[10_000:30_000])


def test_a_call_comes_back_to_a_gateway_that_was_killed(
    installation: Installation, start_gateway: StartGateway
) -> None:
    installation.worker().ready()
    samples, rate = customer()
    gateway = start_gateway(*LISTEN)
    first = AudioSocketClient(gateway.address(WIRE))
    first.speak(samples[:100_000], rate)
    wait_for(lambda: gateway.metric("undertone_producer_chunks_total") == 25, "what was said in Kafka")
    gateway.kill()
    gateway = start_gateway(*LISTEN)
    second = AudioSocketClient(gateway.address(WIRE), first.call)
    second.speak(samples, rate)
    second.end()
    name = f"{first.call}/customer"
    chunks = chunks_of_calls(installation, ended(name))[name]
    old, new = sorted({chunk.start_time for chunk in chunks})
    assert np.array_equal(heard(c for c in chunks if c.start_time == old), samples[:100_000])
    assert np.array_equal(heard(c for c in chunks if c.start_time == new), samples)
    # The worker ends what the killed gateway left open, and hears the new one whole.
    events = installation.events(2)
    wait_for(
        lambda: sum(event.data.type == "summary" for event in installation.events(len(events))) == 2, "two summaries"
    )


def test_one_call_is_open_once(start_gateway: StartGateway) -> None:
    gateway = start_gateway(*LISTEN)
    samples, rate = customer()
    first = AudioSocketClient(gateway.address(WIRE))
    first.speak(samples[:4_000], rate)
    open_streams(gateway, 1)
    second = AudioSocketClient(gateway.address(WIRE), first.call)
    second.speak(samples[:160], rate)
    assert second.answer() == error(Refusal.ALREADY_OPEN)
    first.end()


def test_limits_are_told_by_the_protocols_error_and_counted(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(
        *LISTEN, max_calls=2, max_connections=4, burst_s=5, max_call_bytes=64_000, max_message_bytes=2_000, idle_s=1
    )
    address = gateway.address(WIRE)
    samples, rate = customer()

    def told(client: AudioSocketClient, reason: Refusal) -> AudioSocketClient:
        before = refused(gateway, reason)
        assert client.answer() == error(reason)
        assert refused(gateway, reason) in (before, before + 1)
        client.socket.close()
        return client

    large = AudioSocketClient(address)
    large.speak(samples[:32_001], rate)
    told(large, Refusal.CALL_TOO_LARGE)
    changed = AudioSocketClient(address)
    changed.speak(samples[:160], 8_000)
    changed.speak(samples[:160], 12_000)
    told(changed, Refusal.MALFORMED)
    long = AudioSocketClient(address)
    long.send(0x10, bytes(2_002))
    told(long, Refusal.MESSAGE_TOO_LARGE)
    told(AudioSocketClient(address), Refusal.IDLE)
    wrong = AudioSocketClient(address)
    wrong.send(Kind.UUID, wrong.call.bytes)
    told(wrong, Refusal.MALFORMED)
    # What was heard until then is kept, and ended.
    streams = chunks_of_calls(installation, ended(f"{large.call}/customer"))
    assert np.array_equal(heard(streams[f"{large.call}/customer"]), samples[:32_000])


def test_who_is_too_fast_is_refused(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway(*LISTEN, burst_s=5)
    samples, rate = customer()
    client = AudioSocketClient(gateway.address(WIRE))
    try:
        for _ in range(100):
            client.speak(samples, rate, 500)
    except OSError:
        pass  # it has closed the connection
    wait_for(lambda: refused(gateway, Refusal.TOO_FAST) == 1, "the refusal")
    name = f"{client.call}/customer"
    sound = heard(chunks_of_calls(installation, ended(name))[name])
    assert len(sound) >= 5 * rate
    assert np.array_equal(sound, np.take(samples, range(len(sound)), mode="wrap"))


def test_too_many_calls_and_connections(start_gateway: StartGateway) -> None:
    gateway = start_gateway(*LISTEN, max_calls=2, max_connections=3)
    samples, rate = customer()
    address = gateway.address(WIRE)
    clients = [AudioSocketClient(address) for _ in range(2)]
    for client in clients:
        client.speak(samples[:160], rate)
    open_streams(gateway, 2)
    assert AudioSocketClient(address).answer() == error(Refusal.TOO_MANY_CALLS)
    wait_for(lambda: gateway.metric("undertone_gateway_open_connections", wire=WIRE) == 2, "the connection's end")
    third = AudioSocketClient(address, clients[0].call)  # a call that runs may have more channels
    wait_for(lambda: gateway.metric("undertone_gateway_open_connections", wire=WIRE) == 3, "the third")
    assert AudioSocketClient(address).answer() == error(Refusal.TOO_MANY_CONNECTIONS)
    for client in (*clients, third):
        client.end()
    open_streams(gateway, 0)


def test_running_calls_go_on_while_it_stops_and_new_ones_are_refused(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(*LISTEN, drain_s=600)
    address = gateway.address(WIRE)
    samples, rate = customer()
    client = AudioSocketClient(address)
    client.speak(samples[:20_000], rate)
    open_streams(gateway, 1)
    gateway.process.terminate()
    wait_for(lambda: "it stops" in gateway.readiness(), "the gateway to stop")
    assert AudioSocketClient(address).answer() == error(Refusal.DRAINING)
    client.speak(samples[20_000:], rate)
    client.end()
    assert gateway.process.wait(60) == 0
    assert "stopped" in gateway.output
    name = f"{client.call}/customer"
    assert np.array_equal(heard(chunks_of_calls(installation, ended(name))[name]), samples)


def test_mangled_conversations_leave_nothing_behind(start_gateway: StartGateway) -> None:
    gateway = start_gateway(*LISTEN, resume_s=0)
    samples, rate = customer()
    mutator = Mutator([encode_message(0x10, samples[:80].tobytes()) * 4 + encode_message(Kind.END)], seed=3)
    for _ in range(200):
        client = AudioSocketClient(gateway.address(WIRE))
        client.socket.sendall(mutator.message())
        client.socket.close()
    wait_for(lambda: gateway.metric("undertone_gateway_open_connections", wire=WIRE) == 0, "all to be gone")
    open_streams(gateway, 0)
    assert refused(gateway, Refusal.MALFORMED) > 20
    client = AudioSocketClient(gateway.address(WIRE))
    client.speak(samples[:8_000], rate)
    client.end()
    assert "Traceback" not in gateway.output


@contextmanager
def directory(names: dict[str, object]) -> Iterator[str]:
    """A service that names calls."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = names.get(parse_qs(urlsplit(self.path).query)["key"][0])
            self.send_response(200 if name else 404)
            self.end_headers()
            self.wfile.write(json.dumps(name).encode())

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/calls"
    server.shutdown()
    server.server_close()


def test_a_service_names_calls(installation: Installation, start_gateway: StartGateway) -> None:
    known, odd, unknown = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    samples, rate = customer()
    names: dict[str, object] = {
        str(known): {"call_id": "PBX-17", "channel": "left", "role": "agent"},
        str(odd): {"call_id": "not valid"},
    }
    with directory(names) as url:
        gateway = start_gateway(*LISTEN, "--calls", url)
        client = AudioSocketClient(gateway.address(WIRE), known)
        client.speak(samples[:8_000], rate)
        client.end()
        for call in (odd, unknown):
            assert AudioSocketClient(gateway.address(WIRE), call).answer() == error(Refusal.UNKNOWN_CALL)
    assert AudioSocketClient(gateway.address(WIRE), known).answer() == error(Refusal.UNKNOWN_CALL), "it is gone"
    chunks = chunks_of_calls(installation, ended("PBX-17/left"))["PBX-17/left"]
    assert {chunk.role for chunk in chunks} == {"agent"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "want the columns"),
        ("uuid,call\na,b\n", "want the columns"),
        ("key,call_id\nk,\n", "line 2: call_id"),
        ("key,call_id,role\nk,c,boss\n", "line 2: role"),
        ("key,call_id\nk,c\nK,d\n", "line 3: the key is there before"),
        ("key,call_id\n,c\n", "line 2: no key"),
    ],
)
def test_a_file_of_names_that_is_wrong_is_told(
    start_gateway: StartGateway, tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(text)
    gateway = start_gateway(*LISTEN, "--calls", str(path))
    assert gateway.process.wait(60) == 2
    assert told in gateway.output
    assert gateway.output.count("\n") == 1

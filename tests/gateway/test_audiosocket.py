"""AudioSocket on a real Kafka: what a telephone system says is what a worker reads."""

import uuid
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from schemas.audio import AudioChunk, Role
from schemas.events import event_line
from tests.gateway.conftest import StartGateway
from tests.support.gateway import AudioSocketClient, chunks_of_calls, ended, error, heard
from tests.support.installation import Installation, wait_for
from tests.support.paths import SAMPLES
from tests.support.streams import customer, hear, load
from undertone.acoustics.decode import load as load_file
from undertone.cli.analyze import app as analyze
from undertone.gateway.audiosocket_messages import RATES, Kind, Message, Parser, encode_message
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.inference.engine import Engine
from undertone.inference.model import Model


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_found_wherever_they_are_cut(size: int) -> None:
    messages = [Message(Kind.UUID, bytes(range(16))), Message(0x10, b"\1\2" * 160), Message(Kind.DTMF, b"5")]
    messages += [Message(0x18, b""), Message(Kind.END, b"")]
    data = b"".join(encode_message(message.kind, message.payload) for message in messages)
    parser = Parser()
    assert [found for i in range(0, len(data), size) for found in parser.feed(data[i : i + size])] == messages


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x04\0\0", "type 0x04"),
        (b"\x19\0\0", "type 0x19"),
        (b"\x01\0\x0f", "15 bytes, want 16"),
        (b"\x10\0\x03", "3 bytes of audio"),
    ],
)
def test_what_is_no_message_is_told_as_soon_as_it_shows(data: bytes, told: str) -> None:
    with pytest.raises(MalformedMessage, match=told):
        Parser().feed(data)


def test_a_message_that_is_too_large_is_refused_before_it_is_there() -> None:
    with pytest.raises(Refused) as refused:
        Parser(2_000).feed(b"\x10\x10\x00")
    assert refused.value.reason is Refusal.MESSAGE_TOO_LARGE


def analyzed(*arguments: str) -> list[str]:
    """The lines of `undertone analyze`."""
    done = CliRunner().invoke(analyze, [*arguments, "--format", "jsonl"])
    assert done.exit_code == 0, done.output
    return done.stdout_bytes.decode().splitlines()


def events_of(chunks: list[AudioChunk]) -> list[str]:
    """The lines that an engine makes of chunks; `analyze` does not know where in Kafka they lie."""
    unplaced = [chunk.model_copy(update={"place": None}) for chunk in chunks]
    return [event_line(event.data) for event in hear(Engine(Model.load()), unplaced)]


def test_a_call_gives_the_events_of_analyze(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    samples, rate = customer()
    call = uuid.uuid4()
    names = tmp_path / "calls.csv"
    names.write_text(f"key,call_id,channel,role\n{str(call).upper()},call,customer,customer\n")
    gateway = start_gateway("--audiosocket", "127.0.0.1:0", "--calls", str(names))
    client = AudioSocketClient(gateway.address("audiosocket"), call)
    client.speak(samples, rate)
    client.end()
    chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    assert events_of(chunks) == analyzed(str(SAMPLES / "call.flac"))
    assert all(chunk.role is Role.CUSTOMER for chunk in chunks)
    # Whom the file does not name is refused, until it does.
    other = AudioSocketClient(gateway.address("audiosocket"))
    assert other.answer() == error(Refusal.UNKNOWN_CALL)
    with names.open("a") as file:
        file.write(f"{other.call},second,,agent\n")
    again = AudioSocketClient(gateway.address("audiosocket"), other.call)
    again.speak(samples[:8_000], rate)
    again.end()
    (chunk, *_) = chunks_of_calls(installation, ended("second/agent"))["second/agent"]
    assert chunk.role is Role.AGENT


def test_every_rate_gives_what_analyze_reads(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    gateway = start_gateway("--audiosocket", "127.0.0.1:0")
    speech, _ = customer()
    expected = {}
    for rate in sorted(RATES.values()):
        samples = np.ascontiguousarray(np.tile(speech[40_000:60_000], 3)[: rate // 4])
        soundfile.write(tmp_path / f"{rate}.wav", samples, rate, subtype="PCM_16")
        client = AudioSocketClient(gateway.address("audiosocket"))
        client.speak(samples, rate)
        client.end()
        expected[f"{client.call}/customer"] = load_file(tmp_path / f"{rate}.wav")
    streams = chunks_of_calls(installation, ended(*expected))
    for name, (samples, rate) in expected.items():
        assert {chunk.sample_rate for chunk in streams[name]} == {rate}
        assert np.array_equal(heard(streams[name]), samples[:, 0])


def test_a_gateway_that_stops_ends_its_calls(installation: Installation, start_gateway: StartGateway) -> None:
    gateway = start_gateway("--audiosocket", "127.0.0.1:0", drain_s=0)
    samples, rate = load("calm.flac")
    client = AudioSocketClient(gateway.address("audiosocket"))
    client.speak(samples[:50_001], rate)
    wait_for(lambda: gateway.metric("undertone_gateway_open_streams", wire="audiosocket") == 1, "the stream")
    wait_for(
        lambda: gateway.metric("undertone_gateway_audio_seconds_total", wire="audiosocket") == 3, "all whole chunks"
    )
    assert gateway.stop() == 0
    assert client.answer() == error(Refusal.DRAINING)
    name = f"{client.call}/customer"
    chunks = chunks_of_calls(installation, ended(name))[name]
    assert np.array_equal(heard(chunks), samples[:50_001])

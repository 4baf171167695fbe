"""RTP on a real Kafka: what real senders say is what a worker reads, and what they lose is an exact gap."""

import base64
import random
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pylibsrtp
import pytest
import soundfile
from numpy.typing import NDArray

from schemas.audio import Encoding, Role
from tests.gateway.conftest import StartGateway
from tests.gateway.test_audiosocket import analyzed, events_of
from tests.support.gateway import GatewayProcess, chunks_of_calls, ended, heard
from tests.support.installation import PATIENCE_S, Installation, wait_for
from tests.support.rtp import Phone, Sender, free_pair, goodbye, rtp, sender_report
from tests.support.streams import customer
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load as load_file
from undertone.gateway.rtp.codecs import STATIC, decoder

SSRC = 0x1234


def started(start_gateway: StartGateway, *options: str, **variables: object) -> tuple[GatewayProcess, int]:
    """A gateway with one pair of ports, and the port."""
    port = free_pair()
    gateway = start_gateway("--rtp", f"127.0.0.1:{port}-{port + 1}", *options, **variables)
    wait_for(
        lambda: f"ready rtp 127.0.0.1:{port}-{port + 1}\n" in gateway.output or gateway.process.poll() is not None,
        "the ready line",
        said=lambda: gateway.output,
    )
    assert gateway.process.poll() is None, gateway.output
    return gateway, port


def packets_of(gateway: GatewayProcess, outcome: str) -> float:
    return gateway.metric("undertone_gateway_rtp_packets_total", outcome=outcome)


def named(tmp_path: Path, port: int, columns: str = "", values: str = "") -> Path:
    """A file for --calls that names the port's call `call`."""
    names = tmp_path / "calls.csv"
    names.write_text(f"key,call_id,channel,role{columns}\n{port},call,customer,customer{values}\n")
    return names


def recording(tmp_path: Path) -> tuple[bytes, Path]:
    """The sample call's customer in mu-law, and a file of exactly these samples named `call`."""
    samples, rate = customer()
    codes = encode(samples, Encoding.PCMU)
    path = tmp_path / "call.wav"
    soundfile.write(path, decode(codes, Encoding.PCMU), rate, subtype="PCM_16")
    return codes, path


@pytest.mark.slow
def test_a_call_gives_the_events_of_analyze_however_it_is_mixed_up(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    codes, path = recording(tmp_path)
    names = named(tmp_path, 1)
    gateway, port = started(start_gateway, "--calls", str(names), rtp_jitter_ms=2000)
    named(tmp_path, port)
    rng = random.Random(5)
    packets = Sender(codes).packets()
    packets += rng.sample(packets, 40)
    order = {packet: Sender(codes).packets().index(packet) for packet in set(packets)}
    packets.sort(key=lambda packet: order[packet] + rng.random() * 3)
    with Phone(port) as phone:
        phone.send(packets)
        phone.control(goodbye(SSRC))
        chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    assert events_of(chunks) == analyzed(str(path))
    assert {chunk.encoding for chunk in chunks} == {Encoding.PCMU}
    assert packets_of(gateway, "repeated") == 40
    assert packets_of(gateway, "lost") == 0


@pytest.mark.slow
def test_losses_and_pauses_are_exact_gaps_counted_and_reported(
    installation: Installation, start_gateway: StartGateway
) -> None:
    gateway, port = started(start_gateway)
    samples, _ = customer()
    codes = encode(samples[: 160 * 700], Encoding.PCMU)
    packets = Sender(codes, sequence=65_000).packets()
    missing = {*range(100, 103), 250, *range(400, 420)}
    sent = [packet for number, packet in enumerate(packets) if number not in missing]
    with Phone(port) as phone:
        phone.control(sender_report(SSRC, 7))
        phone.send(sent[:-50], every_s=0.012)
        phone.control(sender_report(SSRC, 0x0000AAAABBBB0000))
        report, sender = phone.rtcp.recvfrom(2048)
        assert sender == ("127.0.0.1", port + 1)
        phone.send(sent[-50:])
        phone.control(goodbye(SSRC))
        name = f"rtp-{port}-{SSRC}/customer"
        chunks = chunks_of_calls(installation, ended(name))[name]
    expected = decode(codes, Encoding.PCMU).copy()
    for number in missing:
        expected[160 * number : 160 * (number + 1)] = 0
    assert np.array_equal(heard(chunks), expected)
    assert all(chunk.role is Role.CUSTOMER for chunk in chunks)
    assert packets_of(gateway, "lost") == len(missing)
    gap_s = gateway.metric("undertone_gateway_gap_seconds_total", wire="rtp", cause="loss")
    assert gap_s == pytest.approx(len(missing) * 0.02)
    kind, ssrc, loss = struct.unpack_from("!xB6xII", report)
    assert (kind, ssrc) == (201, SSRC)
    assert 0 < loss & 0xFFFFFF <= len(missing)


def test_srtp_is_heard_with_its_key_alone_and_answered_under_it(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    codes = recording(tmp_path)[0][: 160 * 450]
    key = b"thirty bytes of key and salt!!"
    text = base64.b64encode(key).decode()
    names = named(tmp_path, 1)
    gateway, port = started(start_gateway, "--calls", str(names))
    named(tmp_path, port, ",srtp", f",inline:{text}")
    mine = pylibsrtp.Session(pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    theirs = pylibsrtp.Session(pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_INBOUND))
    packets = Sender(codes).packets()
    with Phone(port) as stranger:
        stranger.send(packets[:3])
    with Phone(port) as phone:
        phone.send(map(mine.protect, packets), every_s=0.013)
        report = theirs.unprotect_rtcp(phone.rtcp.recv(2048))
        assert report[1] == 201
        phone.control(goodbye(SSRC))
        phone.control(mine.protect_rtcp(goodbye(SSRC)))
        chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    assert b"".join(chunk.audio for chunk in chunks) == encode(decode(codes, Encoding.PCMU), Encoding.PCMU)
    assert packets_of(gateway, "unauthentic") == 4
    assert text not in gateway.output


@pytest.mark.slow
def test_who_is_refused_hears_why_and_strangers_take_nothing_from_a_call(
    installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    codes = recording(tmp_path)[0][: 160 * 100]
    names = named(tmp_path, 1)
    gateway, port = started(start_gateway, "--calls", str(names), idle_s=6, rtp_jitter_ms=2000)
    packets = Sender(codes).packets()
    with Phone(port) as phone:
        phone.send(packets[:5])
        wait_for(lambda: "unknown_call" in gateway.output, "the refusal")
    named(tmp_path, port)
    with Phone(port) as phone, Phone(port) as stranger:

        def taken() -> bool:
            phone.send(packets[:2])
            return gateway.metric("undertone_gateway_open_connections", wire="rtp") == 1

        wait_for(taken, "the call to be let in again")
        # The door may have opened between the two.
        phone.send(packets[:2])
        for mine, strange in zip(packets[2:], Sender(codes, ssrc=9).packets(), strict=False):
            phone.send([mine])
            stranger.send([strange, b"", b"\x00" * 40, rtp(1, 1, first=0x81)], every_s=0)
        # Nobody says goodbye: the call ends once it is silent for UNDERTONE_GATEWAY_IDLE_S.
        chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    assert b"".join(chunk.audio for chunk in chunks) == encode(decode(codes, Encoding.PCMU), Encoding.PCMU)
    assert packets_of(gateway, "other_source") == 4 * 98
    assert gateway.metric("undertone_gateway_broken_off_streams_total", wire="rtp") == 1


def test_a_call_that_comes_too_fast_is_told_goodbye(installation: Installation, start_gateway: StartGateway) -> None:
    gateway, port = started(start_gateway, burst_s=1)
    with Phone(port) as phone:
        phone.send(Sender(bytes(160 * 800)).packets(), every_s=0.002)
        goodbye_said = phone.rtcp.recv(2048)
        assert b"ahead of the clock" in goodbye_said
    name = f"rtp-{port}-{SSRC}/customer"
    assert chunks_of_calls(installation, ended(name))[name]
    assert gateway.metric("undertone_gateway_refused_total", wire="rtp", reason="too_fast") == 1


def test_the_option_is_checked_before_anything_listens(installation: Installation, start_gateway: StartGateway) -> None:
    taken = free_pair()
    with Phone(taken) as phone:
        own = phone.rtp.getsockname()[1]
        for option, line in (
            (f"127.0.0.1:{own}-{own + 1}", "cannot listen on"),
            (f"127.0.0.1:{taken + 1}-{taken + 1}", "holds no even port"),
            ("0.0.0.0:10000-10001", "UNDERTONE_GATEWAY_ALLOWED_NETWORKS"),
        ):
            gateway = start_gateway("--rtp", option)
            assert gateway.process.wait(PATIENCE_S) == 2
            assert line in gateway.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("codec", "rate", "payload"),
    [
        ("pcm_mulaw", 8000, 0),
        ("pcm_alaw", 8000, 8),
        ("pcm_s16be", 44100, 11),
        ("g722", 16000, 9),
        ("pcm_s16be", 16000, 97),
    ],
)
def test_ffmpeg_calls(
    codec: str, rate: int, payload: int, installation: Installation, start_gateway: StartGateway, tmp_path: Path
) -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("no ffmpeg on this machine")
    samples, _ = customer()
    path = tmp_path / "call.wav"
    soundfile.write(path, np.resize(samples[40_000:], 3 * rate), rate, subtype="PCM_16")
    names = named(tmp_path, 1)
    gateway, port = started(start_gateway, "--calls", str(names), "--rtp-payload", "97=L16/16000")
    named(tmp_path, port)
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-i", str(path), "-ar", str(rate), "-acodec", codec]
    command += ["-f", "rtp", "-rtpflags", "send_bye", "-payload_type", str(payload), f"rtp://127.0.0.1:{port}"]
    subprocess.run(command, check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL)
    chunks = chunks_of_calls(installation, ended("call/customer"))["call/customer"]
    # What ffmpeg itself makes of the file, coded and decoded.
    again = tmp_path / "coded.wav"
    coded = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(path), "-acodec", codec, "-f"]
    coded += ["g722"] if codec == "g722" else ["s16be" if codec == "pcm_s16be" else codec.removeprefix("pcm_")]
    subprocess.run([*coded, str(tmp_path / "coded")], check=True, timeout=PATIENCE_S)
    expected = _decoded(codec, (tmp_path / "coded").read_bytes())
    soundfile.write(again, expected, rate, subtype="PCM_16")
    read, target = load_file(again)
    assert {chunk.sample_rate for chunk in chunks} == {target}
    assert packets_of(gateway, "lost") == 0
    assert np.array_equal(heard(chunks), read[:, 0])


def _decoded(codec: str, data: bytes) -> NDArray[np.int16]:
    if codec == "g722":
        return decoder(STATIC[9])(data)[:, 0]
    encoding = {"pcm_mulaw": Encoding.PCMU, "pcm_alaw": Encoding.PCMA, "pcm_s16be": Encoding.L16}[codec]
    return decode(data, encoding)


def test_gstreamer_calls(installation: Installation, start_gateway: StartGateway, tmp_path: Path) -> None:
    if not shutil.which("gst-launch-1.0"):
        pytest.skip("no GStreamer on this machine")
    codes, path = recording(tmp_path)
    codes = codes[: 8000 * 4]
    soundfile.write(path, decode(codes, Encoding.PCMU), 8000, subtype="PCM_16")
    _, port = started(start_gateway, idle_s=3)
    pipeline = f"filesrc location={path} ! wavparse ! audio/x-raw,rate=8000 ! mulawenc ! rtppcmupay ssrc=77"
    command = ["gst-launch-1.0", "-q", *pipeline.split(), "!", "udpsink", "host=127.0.0.1", f"port={port}", "sync=true"]
    subprocess.run(command, check=True, timeout=PATIENCE_S, stdout=subprocess.DEVNULL)
    name = f"rtp-{port}-77/customer"
    chunks = chunks_of_calls(installation, ended(name))[name]
    assert np.array_equal(heard(chunks), decode(codes, Encoding.PCMU))

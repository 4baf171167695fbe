"""`undertone produce` on a real Kafka: what was decoded is what another reader finds there."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from producer.playback import PlaybackOptions
from producer.service import ProduceRequest, parse_speed, produce, trace_of
from schemas.audio import AudioChunk, Encoding, RecordPlace
from schemas.errors import UserError
from schemas.topics import Topics
from tests.support.sounds import SAMPLES
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin, reader
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from undertone.observability.telemetry import Health

CALL, CALM, PHONE = SAMPLES / "call.flac", SAMPLES / "calm.flac", SAMPLES / "phone.wav"
UNDERTONE = [str(Path(sys.executable).with_name("undertone"))]


def sent(settings: KafkaSettings, topics: Topics) -> dict[str, list[AudioChunk]]:
    """Every chunk on `call-audio` by stream, read and checked as a worker does."""
    streams: dict[str, list[AudioChunk]] = defaultdict(list)
    where: dict[str, set[int]] = defaultdict(set)
    with closing(reader(settings)) as consumer:
        partitions = partitions_of(consumer, topics.call_audio.name)
        for r in read_to_end(settings, consumer, partitions):
            chunk = AudioChunk.from_record(
                r.key,
                r.value,
                r.headers,
                RecordPlace(topic=r.topic, partition=r.partition, offset=r.offset, timestamp_ms=r.timestamp),
            )
            streams[chunk.stream].append(chunk)
            where[chunk.stream].add(r.partition)
    assert all(len(found) == 1 for found in where.values()), "a stream keeps its partition"
    return dict(streams)


def check_whole(chunks: list[AudioChunk], samples: np.ndarray, encoding: Encoding, chunk_ms: int) -> None:
    """The chunks of a stream are in order, without a gap, end once, and hold `samples`."""
    size = chunks[0].sample_rate * chunk_ms // 1000
    assert [chunk.sequence for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.first_sample for chunk in chunks] == [size * i for i in range(len(chunks))]
    assert [chunk.end_of_stream for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len({chunk.start_time for chunk in chunks}) == 1
    assert b"".join(chunk.audio for chunk in chunks) == encode(samples, encoding)


def request(*paths: Path | str, **changes: object) -> ProduceRequest:
    options: dict[str, Any] = {"speed": math.inf, "chunk_ms": 500} | {
        name: changes.pop(name)
        for name in list(changes)
        if name in ("encoding", "speed", "chunk_ms", "roles", "traceparent")
    }
    defaults: dict[str, Any] = {"call_id": None, "calls": 1, "rate": None}
    return ProduceRequest(
        paths=[str(path) for path in paths], options=PlaybackOptions(**options), **(defaults | changes)
    )


@pytest.mark.parametrize(
    ("encoding", "chunk_ms"), [(Encoding.L16, 500), (Encoding.PCMU, 60), (Encoding.PCMA, 370), (Encoding.L16, 10_000)]
)
def test_a_call_arrives_whole(kafka_settings: KafkaSettings, topics: Topics, encoding: Encoding, chunk_ms: int) -> None:
    assert produce(request(CALL, encoding=encoding, chunk_ms=chunk_ms), kafka_settings, Console(quiet=True)) == 0
    streams = sent(kafka_settings, topics)
    samples, rate = load(CALL)
    assert set(streams) == {"call/agent", "call/customer"}
    for side, role in enumerate(("agent", "customer")):
        chunks = streams[f"call/{role}"]
        assert {chunk.role for chunk in chunks} == {role}
        assert {(chunk.encoding, chunk.sample_rate) for chunk in chunks} == {(encoding, rate)}
        check_whole(chunks, samples[:, side].copy(), encoding, chunk_ms)


def test_chunks_carry_the_trace_that_they_are_given(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert produce(request(CALM, traceparent=trace), kafka_settings, Console()) == 0
    assert {chunk.traceparent for chunks in sent(kafka_settings, topics).values() for chunk in chunks} == {trace}
    monkeypatch.delenv("TRACEPARENT", raising=False)
    assert trace_of(None) is None
    assert trace_of(trace) == trace
    monkeypatch.setenv("TRACEPARENT", trace)
    assert trace_of(None) == trace
    with pytest.raises(UserError, match="--traceparent"):
        trace_of("nonsense")


def test_concurrent_calls_are_whole_and_distinct(kafka_settings: KafkaSettings, topics: Topics) -> None:
    asked = request(CALM, PHONE, calls=7, speed=20.0)
    assert produce(asked, kafka_settings, Console(quiet=True)) == 0
    streams = sent(kafka_settings, topics)
    assert set(streams) == {f"{name}-{i:04d}/customer" for name in ("calm", "phone") for i in range(1, 8)}
    for stream, chunks in streams.items():
        samples, rate = load(CALM if stream.startswith("calm") else PHONE)
        assert chunks[0].sample_rate == rate
        check_whole(chunks, samples[:, 0].copy(), Encoding.L16, 500)
    starts = {chunks[0].start_time for stream, chunks in streams.items() if stream.startswith("calm")}
    assert len(starts) == 7, "copies do not all start at one moment"


def test_resampled_and_cut_is_what_decode_gives(kafka_settings: KafkaSettings, topics: Topics) -> None:
    assert produce(request(CALM, rate=8000, call_id="narrow"), kafka_settings, Console(quiet=True)) == 0
    samples, _ = load(CALM, 8000)
    check_whole(sent(kafka_settings, topics)["narrow/customer"], samples[:, 0].copy(), Encoding.L16, 500)


def test_bad_files_are_left_out_and_the_others_go_through(
    kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("this is no audio")
    (tmp_path / "empty.flac").touch()
    (tmp_path / "cut.wav").write_bytes(PHONE.read_bytes()[:30_001])
    shutil.copy(PHONE, tmp_path / "whole.wav")
    (tmp_path / "notes.txt").write_text("not even looked at")
    assert produce(request(tmp_path, tmp_path / "missing.wav"), kafka_settings, Console()) == 1
    told = capsys.readouterr().out
    assert "text.wav: not readable as audio" in told
    assert "empty.flac: empty file" in told
    assert "missing.wav: No such file" in told
    assert "cut.wav: truncated" in told
    assert "1 of 5 sources" in told
    streams = sent(kafka_settings, topics)
    samples, _ = load(PHONE)
    check_whole(streams.pop("whole/customer"), samples[:, 0].copy(), Encoding.L16, 500)
    # What was readable was sent before the damage was met; that stream is ended, not left open.
    (cut,) = streams.values()
    heard = np.concatenate([decode(chunk.audio, Encoding.L16) for chunk in cut])
    assert np.array_equal(heard, samples[: len(heard), 0])
    assert cut[-1].end_of_stream


@pytest.mark.parametrize(
    ("encoding", "on_pipe"), [("l16", Encoding.L16LE), ("pcmu", Encoding.PCMU), ("pcma", Encoding.PCMA)]
)
def test_pcm_on_stdin(
    topics: Topics,
    kafka_settings: KafkaSettings,
    kafka_environment: dict[str, str],
    encoding: str,
    on_pipe: Encoding,
) -> None:
    samples, rate = load(CALL)
    piped = encode(samples[:33_333].reshape(-1).copy(), on_pipe)
    options = f"produce - --rate {rate} --channels agent,customer --encoding {encoding} --speed max --call-id desk"
    done = subprocess.run(
        [*UNDERTONE, *options.split()], input=piped, env=kafka_environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    streams = sent(kafka_settings, topics)
    for side, role in enumerate(("agent", "customer")):
        expected = decode(piped, on_pipe).reshape(-1, 2)[:, side].copy()
        check_whole(streams[f"desk/{role}"], expected, Encoding(encoding), 500)


def test_live_chunks_go_out_when_they_have_been_heard_and_no_sooner(
    kafka_settings: KafkaSettings, topics: Topics
) -> None:
    assert produce(request(PHONE, speed=2.0), kafka_settings, Console(quiet=True)) == 0
    chunks = sent(kafka_settings, topics)["phone/customer"]
    for chunk in chunks:
        heard = (chunk.first_sample + chunk.samples) / chunk.sample_rate / 2
        assert chunk.place
        # The broker's clock may round down by a millisecond.
        assert chunk.place.timestamp_ms / 1000 - chunk.start_time.timestamp() >= heard - 0.002


def test_ctrl_c_ends_the_streams_and_exits_130(
    kafka_settings: KafkaSettings, kafka_environment: dict[str, str], topics: Topics
) -> None:
    process = subprocess.Popen(
        [*UNDERTONE, "produce", str(CALL), "--calls", "3", "--metrics-port", "0"],
        env=kafka_environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().removeprefix("metrics on ").strip()
        for path, expected in {
            "metrics": "undertone_producer_open_streams",
            "healthz": "alive",
            "readyz": "ready",
        }.items():
            with urllib.request.urlopen(url.replace("metrics", path), timeout=60) as answer:  # noqa: S310  our own
                assert expected in answer.read().decode()
        while sum(map(len, sent(kafka_settings, topics).values())) < 8:
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    streams = sent(kafka_settings, topics)
    samples, _ = load(CALL)
    for stream, chunks in streams.items():
        heard = np.concatenate([decode(chunk.audio, Encoding.L16) for chunk in chunks])
        side = 0 if stream.endswith("agent") else 1
        check_whole(chunks, samples[: len(heard), side].copy(), Encoding.L16, 500)


def test_a_silent_pipe_does_not_hold_up_ctrl_c(kafka_environment: dict[str, str], topics: Topics) -> None:
    process = subprocess.Popen(
        [*UNDERTONE, "produce", "-", "--rate", "16000"],
        env=kafka_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"\1\0" * 16_000)
        process.stdin.flush()
        assert b"stdin -> stdin: customer" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()


def test_a_producer_lives_while_nobody_speaks(
    kafka_settings: KafkaSettings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = threading.Semaphore(0)

    class CountedHealth(Health):
        def beat(self) -> None:
            super().beat()
            beats.release()

    monkeypatch.setattr("producer.service.Health", CountedHealth)
    hears, speaks = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(hears))
    missed: list[bool] = []

    def speak() -> None:
        os.write(speaks, bytes(32_000))
        # A second of sound is a handful of chunks: the other beats come while the pipe is quiet.
        missed.extend(not beats.acquire(timeout=60) for _ in range(20))
        os.close(speaks)

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert produce(request("-", rate=16000), kafka_settings, Console(quiet=True)) == 0
    speaker.join()
    assert not any(missed)


@pytest.mark.slow
def test_chunks_that_kafka_does_not_take_are_counted() -> None:
    with local_broker() as broker:
        settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with admin(settings) as client:
            ensure_topics(client, Topics())
        process = subprocess.Popen(
            [*UNDERTONE, "produce", str(CALL), "--chunk-ms", "100"],
            env=os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        process.stdout.readline()
        time.sleep(1)
    # Kafka is gone now, and the call goes on.
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (seconds,) = map(float, re.findall(r"ended after (\S+) s", told))
    counted = re.findall(r"^(\d+) chunks (?:from 1 of 1 sources are|are NOT) in Kafka", told, re.MULTILINE)
    # Both channels' chunks, and both streams' ends.
    assert sum(map(int, counted)) == 2 * round(seconds * 10) + 2
    assert int(counted[1]) > 0


def test_a_missing_topic_is_named(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(UserError, match=r"call-audio does not exist: run `undertone topics`"):
        produce(request(PHONE), kafka_settings, Console(quiet=True))


def test_no_kafka_is_one_line_and_exit_2() -> None:
    environment = os.environ | {"UNDERTONE_BOOTSTRAP_SERVERS": "127.0.0.1:9", "UNDERTONE_CONNECT_TIMEOUT_S": "1"}
    done = subprocess.run(
        [*UNDERTONE, "produce", str(PHONE)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no Kafka at 127.0.0.1:9" in done.stderr


def test_a_role_that_is_none_is_said_before_anything_is_sent(kafka_settings: KafkaSettings) -> None:
    with pytest.raises(UserError, match="'caller' is no role"):
        produce(request(CALL, roles="agent,caller"), kafka_settings, Console(quiet=True))


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", ""])
def test_a_speed_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match="--speed"):
        parse_speed(text)


def test_speeds() -> None:
    assert parse_speed("1") == 1
    assert parse_speed("2.5") == 2.5
    assert math.isinf(parse_speed("max"))

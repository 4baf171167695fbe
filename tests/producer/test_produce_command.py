"""`undertone produce` as a command: what comes in by a pipe, how it ends, and what it says when it cannot begin."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import numpy as np
import pytest
from rich.console import Console

from producer.service import parse_speed, produce
from schemas.audio import Encoding
from schemas.errors import UserError
from schemas.topics import Topics
from tests.producer.recordings import CALL, PHONE, UNDERTONE, check_whole, request, sent
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load
from undertone.devbroker.broker import local_broker
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics
from undertone.observability.telemetry import Health


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

"""`undertone produce` on a real Kafka: what was decoded is what another reader finds there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from producer.service import produce, trace_of
from schemas.audio import Encoding
from schemas.errors import UserError
from schemas.topics import Topics
from tests.producer.recordings import CALL, CALM, PHONE, check_whole, request, sent
from undertone.acoustics.codecs import decode
from undertone.acoustics.decode import load
from undertone.messaging.settings import KafkaSettings


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

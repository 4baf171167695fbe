"""One stream: what comes out is what came in, wherever it was cut, and every gap is exact."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.audio import AudioChunk, Encoding
from tests.support.gateway import heard
from tests.support.streams import START, customer
from undertone.acoustics.codecs import decode, encode
from undertone.acoustics.decode import load
from undertone.gateway.limits import Pace
from undertone.gateway.metrics import GapCause
from undertone.gateway.names import CallName
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.streams import LiveStream


class Taken:
    """A stream, and what it did."""

    def __init__(self, rate: int, encoding: Encoding = Encoding.L16, pace: Pace | None = None) -> None:
        self.chunks: list[AudioChunk] = []
        self.missing: list[tuple[GapCause, float]] = []
        self.ends = 0
        self.stream = LiveStream(
            CallName("call"),
            rate,
            encoding,
            chunk_ms=500,
            pace=pace or Pace(rate, 30, 2**40, live=False),
            begin=lambda: START,
            send=self.chunks.append,
            missing=lambda cause, seconds: self.missing.append((cause, seconds)),
            ended=self._ended,
        )

    def _ended(self, _: LiveStream) -> None:
        self.ends += 1

    def feed(self, samples: np.ndarray, size: int) -> "Taken":
        for start in range(0, len(samples), size):
            self.stream.feed(samples[start : start + size])
        return self


def noise(samples: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20_000, 20_000, samples).astype(np.int16)


@pytest.mark.parametrize("size", [1, 160, 4000, 4001, 300_000])
def test_a_stream_is_its_samples_wherever_it_was_cut(size: int) -> None:
    samples, rate = customer()
    samples = samples[: 20_001 if size == 1 else None]
    taken = Taken(rate).feed(samples, size)
    taken.stream.end()
    assert np.array_equal(heard(taken.chunks), samples)
    assert [chunk.sequence for chunk in taken.chunks] == list(range(len(taken.chunks)))
    assert [chunk.first_sample for chunk in taken.chunks] == [4000 * n for n in range(len(taken.chunks))]
    assert [chunk.end_of_stream for chunk in taken.chunks] == [False] * (len(taken.chunks) - 1) + [True]
    assert taken.ends == 1


@pytest.mark.parametrize("rate", [12_000, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_a_rate_that_is_none_of_ours_is_resampled_as_a_file_is(rate: int, tmp_path: Path) -> None:
    samples = noise(rate * 3 + 37)
    soundfile.write(tmp_path / "call.wav", samples, rate, subtype="PCM_16")
    expected, out_rate = load(tmp_path / "call.wav")
    taken = Taken(rate).feed(samples, rate // 50)
    taken.stream.end()
    assert {chunk.sample_rate for chunk in taken.chunks} == {out_rate}
    assert np.array_equal(heard(taken.chunks), expected[:, 0])


@pytest.mark.parametrize("encoding", [Encoding.PCMU, Encoding.PCMA])
def test_g711_stays_what_it_was(encoding: Encoding) -> None:
    codes = np.random.default_rng(2).integers(0, 256, 10_000).astype(np.uint8).tobytes()
    taken = Taken(8000, encoding).feed(decode(codes, encoding), 160)
    taken.stream.end()
    assert {chunk.encoding for chunk in taken.chunks} == {encoding}
    assert np.array_equal(heard(taken.chunks), decode(codes, encoding))
    assert np.array_equal(decode(encode(decode(codes, encoding), encoding), encoding), decode(codes, encoding))


def test_gaps_are_exact() -> None:
    samples = noise(20_000)
    taken = Taken(8000)
    taken.stream.gap(1_000)
    taken.feed(samples[:5_123], 160)
    taken.stream.gap(7, GapCause.LOSS)
    taken.stream.gap(80_001, GapCause.DISCARDED)
    taken.feed(samples[5_123:], 160)
    assert taken.stream.position == 1_000 + 5_123 + 7 + 80_001 + len(samples) - 5_123
    taken.stream.end()
    silence = np.zeros(1_000, np.int16), np.zeros(80_008, np.int16)
    assert np.array_equal(
        heard(taken.chunks), np.concatenate((silence[0], samples[:5_123], silence[1], samples[5_123:]))
    )
    assert taken.missing == [(GapCause.PAUSE, 0.125), (GapCause.LOSS, 7 / 8000), (GapCause.DISCARDED, 80_001 / 8000)]


@pytest.mark.parametrize("rate", [12_000, 44_100, 48_000, 96_000])
def test_gaps_of_another_rate_are_exact_and_nothing_drifts(rate: int) -> None:
    taken = Taken(rate)
    out = 16_000 if rate > 16_000 else 8_000
    click = np.zeros(rate // 10 + 3, np.int16)
    click[rate // 20] = 30_000
    expected = []
    for n in range(200):
        expected.append((taken.stream.position + rate // 20) * out / rate)
        taken.feed(click, 441)
        taken.stream.gap(1 + 37 * n)
    taken.stream.end()
    sound = heard(taken.chunks).astype(int)
    for place in expected:
        around = sound[round(place) - 40 : round(place) + 40]
        assert abs(int(np.argmax(around)) + round(place) - 40 - place) <= 1


def test_a_stream_without_a_sample_sends_nothing() -> None:
    taken = Taken(8000)
    taken.stream.end()
    assert taken.chunks == []
    assert taken.ends == 1


def test_a_stream_that_ends_after_a_gap_is_as_long_as_it_was() -> None:
    taken = Taken(8000).feed(noise(4_000), 160)
    taken.stream.gap(123)
    taken.stream.end()
    assert (taken.chunks[-1].first_sample, taken.chunks[-1].samples, taken.chunks[-1].end_of_stream) == (4_123, 0, True)


def clock(*moments: float) -> Iterator[float]:
    yield from moments


def test_who_is_faster_than_the_clock_is_refused_and_the_stream_ended() -> None:
    moments = clock(100, 110, 110)
    taken = Taken(8000, pace=Pace(8000, 5, 2**40, live=True, now=lambda: next(moments)))
    taken.stream.feed(noise(40_000))
    taken.stream.feed(noise(80_000))
    with pytest.raises(Refused) as refused:
        taken.stream.feed(noise(8_000))
    assert refused.value.reason is Refusal.TOO_FAST
    assert taken.ends == 1
    assert taken.chunks[-1].end_of_stream
    assert len(heard(taken.chunks)) == 120_000
    with pytest.raises(Refused):
        taken.stream.feed(noise(1))


def test_a_gap_is_no_audio_that_came_too_fast() -> None:
    taken = Taken(8000, pace=Pace(8000, 5, 2**40, live=True, now=lambda: 100.0))
    taken.stream.feed(noise(20_000))
    taken.stream.gap(60 * 8000)
    taken.stream.feed(noise(20_000))
    assert taken.stream.position == 40_000 + 60 * 8000
    with pytest.raises(Refused) as refused:
        taken.stream.feed(noise(1))
    assert refused.value.reason is Refusal.TOO_FAST


def test_gaps_are_bounded() -> None:
    taken = Taken(8000)
    taken.feed(noise(8_000), 160)
    taken.stream.gap(6 * 24 * 3600 * 8000)
    with pytest.raises(Refused) as refused:
        taken.stream.gap(2 * 24 * 3600 * 8000)
    assert refused.value.reason is Refusal.CALL_TOO_LARGE
    assert taken.ends == 1


def test_a_call_that_is_too_large_is_refused() -> None:
    taken = Taken(8000, Encoding.PCMU, Pace(8000, 30, 1_000, live=False))
    taken.stream.feed(noise(1_000))
    with pytest.raises(Refused) as refused:
        taken.stream.feed(noise(1))
    assert refused.value.reason is Refusal.CALL_TOO_LARGE


def test_the_moment_of_sample_0_is_that_of_the_first_sample() -> None:
    moments = []

    def begin() -> datetime:
        moments.append(1)
        return datetime(2026, 1, 2, tzinfo=UTC)

    taken = Taken(8000)
    taken.stream._begin = begin
    assert not moments
    taken.feed(noise(9_000), 160)
    taken.stream.end()
    assert len(moments) == 1
    assert {chunk.start_time for chunk in taken.chunks} == {datetime(2026, 1, 2, tzinfo=UTC)}

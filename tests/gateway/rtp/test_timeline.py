"""Timestamps to samples: nothing is lost, moved or made up, and every gap is exact."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.gateway.rtp.packets import packet
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.codecs import STATIC, Format, PayloadType
from undertone.gateway.rtp.jitter import Ordered
from undertone.gateway.rtp.timeline import Timeline

L16 = PayloadType(Format.L16, 8000)
SECOND = 8000


class Heard:
    """A stream that remembers what it was fed, and counts its place."""

    def __init__(self) -> None:
        self.position = 0
        self.gaps: list[tuple[int, int, GapCause]] = []
        self.samples: list[int] = []

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Samples."""
        self.samples += samples.tolist()
        self.position += len(samples)

    def gap(self, samples: int, cause: GapCause) -> None:
        """A gap."""
        self.gaps.append((self.position, samples, cause))
        self.position += samples


def timeline(kind: PayloadType = L16, channels: int = 1) -> tuple[Timeline, list[Heard]]:
    """A timeline whose buffer is 100 ms deep, and its streams."""
    heard = [Heard() for _ in range(channels)]
    return Timeline(kind, heard, 0.1, 15.0), heard


def place(line: Timeline, timestamp: int, samples: int | bytes = 160, lost: int = 0, at: float = 0.0) -> None:
    """A packet of so many samples of L16 that count from 1, or with this payload."""
    payload = samples if isinstance(samples, bytes) else np.arange(1, samples + 1, dtype=">i2").tobytes()
    line.place(Ordered(packet(0, timestamp, payload), lost, at))


def test_packets_that_follow_each_other_are_one_piece_over_the_wrap_of_the_clock() -> None:
    line, (heard,) = timeline()
    for number in range(4):
        place(line, 0xFFFFFFFF - 239 + 160 * number, at=0.02 * number)
    assert heard.gaps == []
    assert heard.samples == list(range(1, 161)) * 4


def test_lost_packets_are_a_gap_of_their_samples() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    place(line, 4 * 160, lost=3, at=0.08)
    assert heard.gaps == [(160, 480, GapCause.LOSS)]


def test_a_pause_of_the_source_is_a_gap_of_its_timestamps() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    line.silence(Ordered(packet(1, 160, b"\x40", kind=13), 0, 0.02))
    place(line, 160 + 30 * SECOND + 7, at=30.04)
    assert heard.gaps == [(160, 30 * SECOND + 7, GapCause.PAUSE)]


def test_what_was_lost_before_a_packet_without_audio_is_lost() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    line.silence(Ordered(packet(3, 480, b"", kind=13), 2, 0.06))
    place(line, 960, at=0.12)
    assert heard.gaps == [(160, 800, GapCause.LOSS)]


def test_a_packet_that_reaches_back_loses_what_is_there_already() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    place(line, 150)
    place(line, 310)
    assert heard.gaps == []
    assert heard.samples == [*range(1, 161), *range(11, 161), *range(1, 161)]
    assert heard.position == 470


@pytest.mark.parametrize("timestamp", [5_000_000, 0x80000000, 0xFFFF0000])
def test_a_clock_that_begins_anew_goes_on_by_the_time_between_arrivals(timestamp: int) -> None:
    line, (heard,) = timeline()
    place(line, 160_000, at=50.0)
    place(line, timestamp, at=50.05)
    assert heard.gaps == []  # 30 ms more than the packet: jitter
    place(line, timestamp ^ 0x40000000, at=52.55)
    assert heard.gaps == [(320, round(2.48 * SECOND), GapCause.BROKE_OFF)]


def test_a_jump_ahead_is_believed_as_far_as_the_clock_and_some_trust_bear_it_out() -> None:
    line, (heard,) = timeline()
    place(line, 0, at=10.0)
    place(line, 160 + 15 * SECOND, at=10.0)
    assert heard.gaps == [(160, 15 * SECOND, GapCause.PAUSE)]
    place(line, 320 + 31 * SECOND, at=10.02)
    assert len(heard.gaps) == 1


def test_another_source_goes_on_where_the_last_one_stood() -> None:
    line, (heard,) = timeline()
    place(line, 0, at=1.0)
    line.another_source()
    place(line, 160 + SECOND, at=1.02)
    assert heard.gaps == []
    line.another_source()
    place(line, 3, at=2.04)
    assert heard.gaps == [(320, SECOND, GapCause.BROKE_OFF)]


def test_a_payload_that_ends_within_a_sample_is_lost_exactly() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    with pytest.raises(MalformedMessage):
        place(line, 160, bytes(319))
    place(line, 320)
    assert heard.gaps == [(160, 160, GapCause.LOSS)]


def test_a_packet_without_payload_moves_nothing() -> None:
    line, (heard,) = timeline()
    place(line, 0)
    place(line, 0, b"")
    place(line, 160)
    assert heard.gaps == []
    assert heard.position == 320


def test_g722_counts_two_samples_for_each_step_of_its_clock() -> None:
    line, (heard,) = timeline(STATIC[9])
    place(line, 0, bytes(160))
    place(line, 320, bytes(160), lost=1)
    assert heard.position == 960
    assert heard.gaps == [(320, 320, GapCause.LOSS)]


def test_both_sides_of_a_stereo_packet_keep_step() -> None:
    line, (left, right) = timeline(PayloadType(Format.L16, 16000, 2), 2)
    place(line, 0, np.array([[1, -1], [2, -2]], ">i2").tobytes())
    place(line, 4, np.array([[5, -5]], ">i2").tobytes(), lost=1)
    assert (left.samples, right.samples) == ([1, 2, 5], [-1, -2, -5])
    assert left.gaps == right.gaps == [(2, 2, GapCause.LOSS)]

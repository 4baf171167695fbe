"""Order and gaps of one track: each missing sample is a gap, to the sample, and nothing else is."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.audio import Role
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.media_messages import Media
from undertone.gateway.websocket.tracks import Track

SOUND = np.arange(8_000, dtype=np.int16)  # a second of samples that tell their own place


def media(i: int, size: int = 160, *, chunk: bool = True, clock: bool = True, epoch: int = 5) -> Media:
    """The i-th message of 20 ms."""
    samples = SOUND[i * size : (i + 1) * size]
    return Media(Role.CUSTOMER, i + 1 if chunk else None, epoch + i * size // 8 if clock else None, samples)


def heard(track: Track, messages: list[Media]) -> tuple[NDArray[np.int32], int]:
    """What comes out, -1 for each missing sample, and how many are missing."""
    stretches = [stretch for message in messages for stretch in track.take(message)] + list(track.flush())
    parts = [part for s in stretches for part in (np.full(s.gap, -1, np.int32), s.samples.astype(np.int32))]
    return np.concatenate(parts), sum(s.gap for s in stretches)


@pytest.mark.parametrize("chunk", [True, False])
@pytest.mark.parametrize("clock", [True, False])
@pytest.mark.parametrize("reorder", [0, 20])
def test_all_in_order_is_all_as_it_came(chunk: bool, clock: bool, reorder: int) -> None:
    found, missing = heard(Track(8000, reorder), [media(i, chunk=chunk, clock=clock) for i in range(50)])
    np.testing.assert_array_equal(found, SOUND)
    assert missing == 0


# Whether messages have a number, a timestamp, and whether that is the time of day, which alone tells no loss.
@pytest.mark.parametrize(
    ("chunk", "clock", "wall_clock"),
    [(True, True, False), (True, False, False), (False, True, False), (True, True, True), (True, False, True)],
)
@pytest.mark.parametrize("reorder", [0, 20])
def test_lost_messages_are_gaps_to_the_sample(chunk: bool, clock: bool, wall_clock: bool, reorder: int) -> None:
    lost = {3, 10, 11, 12, 40}
    track = Track(8000, reorder, wall_clock=wall_clock)
    found, missing = heard(track, [media(i, chunk=chunk, clock=clock) for i in range(50) if i not in lost])
    want = SOUND.astype(np.int32)
    for i in lost:
        want[i * 160 : (i + 1) * 160] = -1
    np.testing.assert_array_equal(found, want)
    assert missing == 160 * len(lost)


def test_messages_of_odd_lengths_are_placed_by_their_count() -> None:
    found, missing = heard(Track(8000), [media(i, 161) for i in range(49) if i != 20])
    want = SOUND[: 49 * 161].astype(np.int32)
    want[20 * 161 : 21 * 161] = -1
    np.testing.assert_array_equal(found, want)
    assert missing == 161


def test_a_silence_that_the_platform_does_not_send_is_a_gap() -> None:
    """Numbers go on, the clock jumps: a call on hold."""
    messages = [media(0), media(1), Media(Role.CUSTOMER, 3, 5 + 3040, SOUND[:160])]
    assert heard(Track(8000), messages)[1] == 3000 * 8


def test_jitter_of_a_clock_is_no_gap() -> None:
    rng = random.Random(3)
    messages = [
        Media(Role.CUSTOMER, i + 1, 10_000 + 20 * i + rng.randrange(900), SOUND[i * 160 : (i + 1) * 160])
        for i in range(50)
    ]
    found, missing = heard(Track(8000, wall_clock=True), messages)
    np.testing.assert_array_equal(found, SOUND)
    assert missing == 0


def test_a_chunk_number_that_counts_both_tracks_is_no_loss() -> None:
    messages = [Media(Role.CUSTOMER, 2 * i + 1, 20 * i, SOUND[i * 160 : (i + 1) * 160]) for i in range(50)]
    for reorder in (0, 20):
        found, missing = heard(Track(8000, reorder), messages)
        np.testing.assert_array_equal(found, SOUND)
        assert missing == 0


@pytest.mark.parametrize("clock", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_messages_out_of_order_are_put_in_order(seed: int, clock: bool) -> None:
    rng = random.Random(seed)
    order = sorted(range(50), key=lambda i: i + rng.uniform(0, 10))
    found, missing = heard(Track(8000, 20), [media(i, clock=clock) for i in order])
    np.testing.assert_array_equal(found, SOUND)
    assert missing == 0


def test_out_of_order_nothing_waits_longer_than_it_must() -> None:
    track = Track(8000, 20)
    assert [len(list(track.take(media(i)))) for i in (0, 1, 3, 4, 2, 5)] == [1, 1, 0, 0, 3, 1]


def test_a_message_that_comes_after_its_turn_is_counted_and_dropped() -> None:
    track = Track(8000)
    found, missing = heard(track, [media(i) for i in (0, 1, 3, 2, 4, 4)])
    assert (track.late, missing, len(found)) == (2, 160, 5 * 160)


def test_a_clock_that_begins_anew_is_no_gap() -> None:
    messages = [media(i, epoch=60_000) for i in range(10)] + [media(i, epoch=0) for i in range(10, 50) if i != 20]
    found, missing = heard(Track(8000), messages)
    want = SOUND.astype(np.int32)
    want[20 * 160 : 21 * 160] = -1
    np.testing.assert_array_equal(found, want)
    assert missing == 160


def test_a_timestamp_beyond_every_call_is_malformed() -> None:
    track = Track(8000)
    list(track.take(media(0)))
    with pytest.raises(MalformedMessage, match="jumps"):
        list(track.take(Media(Role.CUSTOMER, 2, 2**50, SOUND[:160])))

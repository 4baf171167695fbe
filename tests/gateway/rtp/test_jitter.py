"""The jitter buffer: in order, each once, and nothing waits longer than its depth."""

import random

from tests.gateway.rtp.packets import packet
from undertone.gateway.rtp.jitter import MAX_HELD, Arrival, JitterBuffer

DEPTH_S = 0.1


def begun(first: int = 10) -> JitterBuffer:
    """A buffer that has given out its first packet, number `first`."""
    buffer = JitterBuffer(DEPTH_S)
    buffer.push(first, packet(first), 0.0)
    assert [ordered.packet.sequence for ordered in buffer.take(DEPTH_S)] == [first]
    return buffer


def taken(buffer: JitterBuffer, now: float) -> list[tuple[int, int]]:
    """Sequence numbers that are due, and how many were lost before each."""
    return [(ordered.packet.sequence, ordered.lost) for ordered in buffer.take(now)]


def test_what_comes_in_order_passes_at_once() -> None:
    buffer = begun()
    for number in range(11, 20):
        assert buffer.push(number, packet(number), 1.0) is Arrival.TAKEN
        assert taken(buffer, 1.0) == [(number, 0)]
        assert buffer.due is None


def test_the_first_packets_wait_for_those_that_they_overtook() -> None:
    buffer = JitterBuffer(DEPTH_S)
    for number in (12, 11, 10, 13):
        buffer.push(number, packet(number), 5.0)
    assert taken(buffer, 5.05) == []
    assert buffer.due == 5.0 + DEPTH_S
    assert taken(buffer, 5.1) == [(10, 0), (11, 0), (12, 0), (13, 0)]


def test_a_hole_is_waited_for_and_filled() -> None:
    buffer = begun()
    buffer.push(12, packet(12), 1.0)
    assert taken(buffer, 1.05) == []
    buffer.push(11, packet(11), 1.05)
    assert taken(buffer, 1.05) == [(11, 0), (12, 0)]


def test_a_hole_that_stays_is_lost_and_what_comes_of_it_then_is_late_and_after_that_repeated() -> None:
    buffer = begun()
    buffer.push(13, packet(13), 1.0)
    buffer.push(14, packet(14), 1.02)
    assert taken(buffer, 1.1) == [(13, 2), (14, 0)]
    assert buffer.push(12, packet(12), 1.1) is Arrival.LATE
    assert buffer.push(12, packet(12), 1.1) is Arrival.REPEATED
    assert taken(buffer, 9.0) == []


def test_repeats_are_dropped_whether_the_first_waits_or_has_passed() -> None:
    buffer = begun()
    assert buffer.push(10, packet(10), 1.0) is Arrival.REPEATED
    buffer.push(12, packet(12), 1.0)
    assert buffer.push(12, packet(12), 1.0) is Arrival.REPEATED
    assert taken(buffer, 2.0) == [(12, 1)]


def test_two_holes_are_each_given_their_time() -> None:
    buffer = begun()
    buffer.push(12, packet(12), 1.0)
    buffer.push(14, packet(14), 1.06)
    assert taken(buffer, 1.1) == [(12, 1)]
    assert buffer.due == 1.06 + DEPTH_S
    assert taken(buffer, 1.17) == [(14, 1)]


def test_what_waits_is_bounded() -> None:
    buffer = begun()
    for number in range(12, 12 + MAX_HELD + 1):
        assert taken(buffer, 1.0) == []
        buffer.push(number, packet(number), 1.0)
    assert taken(buffer, 1.0)[0] == (12, 1)
    assert len(buffer) == 0


def test_the_end_waits_for_nothing() -> None:
    buffer = begun()
    buffer.push(12, packet(12), 1.0)
    assert [(ordered.packet.sequence, ordered.lost) for ordered in buffer.flush()] == [(12, 1)]


def test_any_order_comes_out_sorted_and_every_number_is_heard_or_counted() -> None:
    rng = random.Random(7)
    buffer, now, out, late, repeated = JitterBuffer(DEPTH_S), 0.0, [], 0, 0
    sent = [number for number in range(5000) if rng.random() > 0.05]
    sent += rng.sample(sent, 300)
    sent.sort(key=lambda number: 0.02 * number + rng.random() * 0.15)
    for number in sent:
        now = max(now, 0.02 * number)
        arrival = buffer.push(number, packet(number), now)
        late += arrival is Arrival.LATE
        repeated += arrival is Arrival.REPEATED
        out += taken(buffer, now)
    out += [(ordered.packet.sequence, ordered.lost) for ordered in buffer.flush()]
    numbers = [number for number, _ in out]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + sum(lost for _, lost in out) == numbers[-1] - numbers[0] + 1
    assert len(numbers) + late + repeated == len(sent)

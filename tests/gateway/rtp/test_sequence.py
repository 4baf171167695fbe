"""Sequence numbers and what is reported of them, by the formulas of RFC 3550."""

from tests.gateway.rtp.packets import packet
from undertone.gateway.rtp.sequence import Reception


def receive(reception: Reception, *sequences: int, start: float = 0.0) -> None:
    """Packets of 20 ms, each when it is due."""
    for number, sequence in enumerate(sequences):
        extended = reception.extend(sequence & 0xFFFF)
        assert extended is not None
        reception.count(extended, packet(sequence, 160 * sequence), start + 0.02 * number)


def test_numbers_go_on_over_the_wrap() -> None:
    reception = Reception(8000)
    receive(reception, *range(65_530, 65_546))
    assert reception.highest & 0xFFFF == 9
    assert reception.highest >> 16 == 2
    assert (reception.received, reception.lost) == (16, 0)


def test_a_late_packet_from_before_the_wrap_keeps_its_number() -> None:
    reception = Reception(8000)
    receive(reception, 65_534, 65_536)
    assert reception.extend(65_535) == reception.highest - 1
    receive(reception, 65_535)
    assert reception.lost == 0


def test_a_far_jump_belongs_to_no_sequence() -> None:
    reception = Reception(8000)
    receive(reception, 1000)
    assert reception.extend(1000 + 2999) is not None
    assert reception.extend(1000 + 3000) is None
    assert reception.extend(1000 - 100) is not None
    assert reception.extend(1000 - 101) is None


def test_loss_is_reported_as_a_fraction_of_what_was_expected_since_the_last_report() -> None:
    reception = Reception(8000)
    receive(reception, *range(100))
    assert reception.fraction_lost() == 0
    receive(reception, *range(100, 200, 4))
    # 97 numbers were expected, 25 came.
    assert reception.fraction_lost() == (72 << 8) // 97
    assert reception.lost == 72
    assert reception.fraction_lost() == 0


def test_repeats_make_the_loss_negative_as_the_rfc_has_it() -> None:
    reception = Reception(8000)
    receive(reception, 1, 2, 2, 2, 3)
    assert reception.lost == -2
    assert reception.fraction_lost() == 0


def test_jitter_is_0_on_time_and_a_sixteenth_of_a_change() -> None:
    reception = Reception(8000)
    receive(reception, *range(50))
    assert reception.jitter == 0
    late_s = 0.04
    reception.count(reception.extend(50) or 0, packet(50, 160 * 50), 0.02 * 50 + late_s)
    assert abs(reception.jitter - late_s * 8000 / 16) <= 1


def test_jitter_knows_nothing_of_the_timestamps_wrap() -> None:
    reception = Reception(8000)
    for number in range(10):
        timestamp = 0xFFFFFFFF - 400 + 160 * number
        reception.count(reception.extend(number) or 0, packet(number, timestamp), 1000 + 0.02 * number)
    assert reception.jitter <= 1

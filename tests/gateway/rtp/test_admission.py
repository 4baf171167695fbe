"""The door of a port."""

from tests.support.rtp import rtp
from undertone.gateway.refusals import Refusal
from undertone.gateway.rtp.admission import Admission
from undertone.gateway.rtp.codecs import STATIC
from undertone.gateway.rtp.outcomes import Outcome

CALL = rtp(1, 160, bytes(160), ssrc=7)


def door() -> Admission:
    return Admission(STATIC, lambda host: host == "192.0.2.1")


def test_only_allowed_networks_come_in() -> None:
    assert door().refuses("192.0.2.1", 1.0) is None
    assert door().refuses("192.0.2.2", 1.0) is Outcome.NOT_ALLOWED


def test_a_flood_is_cut_to_a_rate_and_over_with_it() -> None:
    admission = door()
    let_in = sum(admission.refuses("192.0.2.1", 5.0 + number / 10_000) is None for number in range(10_000))
    assert 2990 <= let_in <= 3010
    assert admission.refuses("192.0.2.1", 5.9999) is Outcome.TOO_MANY
    assert admission.refuses("192.0.2.1", 6.1) is None


def test_a_call_begins_with_a_packet_of_audio() -> None:
    assert door().keeps_out(CALL, 1.0) is None
    assert door().keeps_out(b"\x80", 1.0) is Outcome.MALFORMED
    assert door().keeps_out(rtp(1, 160, b"\x40", payload_type=13), 1.0) is Outcome.UNKNOWN_TYPE
    assert door().keeps_out(rtp(1, 160, b"\x40", payload_type=99), 1.0) is Outcome.UNKNOWN_TYPE


def test_a_call_that_was_refused_asks_again_after_a_while() -> None:
    admission = door()
    admission.refused(Refusal.TOO_MANY_CALLS, 10.0)
    assert [admission.keeps_out(CALL, now) for now in (10.1, 14.9, 15.1)] == [Outcome.REFUSED, Outcome.REFUSED, None]


def test_one_that_came_too_fast_is_not_heard_before_it_was_silent() -> None:
    admission = door()
    admission.refused(Refusal.TOO_FAST, 10.0)
    assert all(admission.keeps_out(CALL, 10.0 + 4 * number) is Outcome.REFUSED for number in range(10))
    assert admission.keeps_out(CALL, 46 + 5.1) is None


def test_stragglers_of_a_call_that_has_ended_begin_no_other() -> None:
    admission = door()
    admission.left(7, 10.0)
    assert admission.keeps_out(CALL, 10.4) is Outcome.LATE
    assert admission.keeps_out(rtp(1, 160, bytes(160), ssrc=8), 10.4) is None
    assert admission.keeps_out(CALL, 10.6) is None

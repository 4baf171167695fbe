"""A session: what comes is heard to the sample, what does not come leaves an exact gap, and a goodbye is an end."""

import struct

import pytest

from tests.gateway.rtp.heard_session import PEER, SSRC, Harness, speech
from tests.support.rtp import Sender, goodbye, rtp, sender_report
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import Refused
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.rtcp import parse as parse_rtcp


def test_what_comes_is_heard_from_the_first_packet_to_the_goodbye() -> None:
    harness = Harness()
    harness.send(*Sender(speech(20)).packets())
    harness.session.rtcp(goodbye(SSRC), PEER, harness.now)
    # A last packet waits at the other port.
    harness.send(rtp(65_520, 0xFFFFF000 + 160 * 20, bytes([99]) * 160))
    harness.wait(1)
    (stream,) = harness.streams
    assert stream.codes == speech(20) + bytes([99]) * 160
    assert stream.gaps == []
    assert stream.ended
    assert harness.session.over
    assert harness.counts == {Outcome.TAKEN: 21, Outcome.LOST: 0}


def test_lost_doubled_and_reordered_packets_leave_exact_gaps_alone() -> None:
    harness = Harness()
    packets = Sender(speech(100)).packets()
    sent = [*packets[:30], *packets[33:60], packets[61], packets[60], packets[60], *packets[62:]]
    harness.send(*sent)
    harness.wait(1)
    harness.session.end()
    (stream,) = harness.streams
    assert stream.gaps == [(30 * 160, 3 * 160, GapCause.LOSS)]
    assert stream.position == 100 * 160
    assert stream.codes == speech(30) + speech(67, 33)
    assert harness.counts == {Outcome.TAKEN: 97, Outcome.REPEATED: 1, Outcome.LOST: 3}


def test_all_streams_end_though_one_takes_no_more() -> None:
    harness = Harness()
    harness.send(*Sender(bytes(1760 * 10), size=1760, step=440, payload_type=10, sequence=0).packets())
    left, right = harness.streams
    right.full = True
    # It waits behind a hole, and is heard at the end.
    harness.send(*Sender(bytes(1760), size=1760, payload_type=10, sequence=11).packets())
    with pytest.raises(Refused):
        harness.session.end()
    assert left.ended
    assert right.ended


def test_one_packet_alone_opens_nothing_and_another_may_come() -> None:
    harness = Harness()
    harness.send(rtp(1, 160, bytes(160)))
    harness.wait(0.9)
    assert not harness.session.stale(harness.now)
    harness.wait(1)
    assert harness.session.stale(harness.now)
    assert harness.streams == []


def test_silence_suppression_is_a_pause_of_exactly_its_length() -> None:
    harness = Harness()
    harness.send(*Sender(speech(10), sequence=0, timestamp=0).packets())
    harness.send(rtp(10, 1600, b"\x48", payload_type=13))
    harness.wait(3)
    harness.send(*Sender(speech(10, 30), sequence=11, timestamp=1600 + 24_161).packets())
    harness.session.end()
    assert harness.streams[0].gaps == [(1600, 24_161, GapCause.PAUSE)]
    assert harness.counts[Outcome.LOST] == 0


def test_digits_and_unknown_types_take_time_but_are_not_heard() -> None:
    harness = Harness()
    harness.send(*Sender(speech(10), sequence=0, timestamp=0).packets())
    harness.send(*(rtp(10 + i, 1600, b"\x05\x0a\x00\xa0", payload_type=101) for i in range(5)))
    harness.send(rtp(15, 2400, b"??", payload_type=120))
    harness.send(*Sender(speech(10, 30), sequence=16, timestamp=2560).packets())
    harness.session.end()
    assert harness.streams[0].codes == speech(10) + speech(10, 30)
    assert harness.streams[0].gaps == [(1600, 960, GapCause.PAUSE)]
    assert harness.counts[Outcome.UNKNOWN_TYPE] == 1


def test_another_codec_is_another_stream_unless_the_samples_are_of_a_kind() -> None:
    harness = Harness()
    harness.send(*Sender(speech(10), sequence=0, timestamp=0).packets())
    harness.send(*Sender(speech(10), sequence=10, timestamp=1600, payload_type=96).packets())
    assert len(harness.streams) == 1
    harness.send(*Sender(speech(10), sequence=20, timestamp=3200, payload_type=9).packets())
    harness.wait(1)
    assert [stream.kind.rate for stream in harness.streams] == [8000, 16000]
    assert [stream.ended for stream in harness.streams] == [True, False]
    assert [stream.position for stream in harness.streams] == [3200, 3200]


def test_reports_say_what_was_lost_and_how_old_the_sources_clock_is() -> None:
    harness = Harness()
    packets = Sender(speech(100), sequence=0, timestamp=0).packets()
    harness.send(*packets[:50], *packets[75:])
    harness.session.rtcp(sender_report(SSRC, 0x1111222233334444), ("192.0.2.1", 4711), harness.now)
    harness.wait(0.5)
    report = harness.session.report(7, "me", harness.now)
    assert report is not None
    assert parse_rtcp(report).ssrc == 7
    ssrc, loss, highest, _, last, delay = struct.unpack_from("!IIIIII", report, 8)
    assert (ssrc, loss >> 24, loss & 0xFFFFFF) == (SSRC, (25 << 8) // 100, 25)
    assert (highest, last, delay) == (99, 0x22223333, 32768)
    assert harness.session.control_peer == ("192.0.2.1", 4711)

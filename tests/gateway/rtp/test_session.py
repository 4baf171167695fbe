"""A session: the first valid peer is heard, another source takes over by rule, and a goodbye is an end."""

import struct
from collections import Counter

import numpy as np
import pylibsrtp
import pytest
from numpy.typing import NDArray
from pydantic import SecretStr

from schemas.audio import Encoding
from tests.support.rtp import Sender, goodbye, rtp, sender_report
from undertone.acoustics.codecs import encode
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.rtp.codecs import STATIC, PayloadType
from undertone.gateway.rtp.hearing import Hearing
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.rtcp import parse as parse_rtcp
from undertone.gateway.rtp.session import Session
from undertone.gateway.rtp.srtp import Srtp, SrtpKey

PEER, OTHER = ("192.0.2.1", 4000), ("192.0.2.2", 4000)
DEPTH_S = 0.1
SSRC = 0x1234
KINDS = {**STATIC, 96: STATIC[0]}


class Stream:
    """A live stream's stand-in: remembers codes of mu-law, and gaps with their places."""

    def __init__(self, kind: PayloadType) -> None:
        self.kind = kind
        self.position = 0
        self.codes = b""
        self.gaps: list[tuple[int, int, GapCause]] = []
        self.ended = False
        self.full = False

    def feed(self, samples: NDArray[np.int16]) -> None:
        assert not self.ended
        if self.full:
            raise Refused(Refusal.CALL_TOO_LARGE, "too much")
        self.codes += encode(samples, Encoding.PCMU)
        self.position += len(samples)

    def gap(self, samples: int, cause: GapCause) -> None:
        self.gaps.append((self.position, samples, cause))
        self.position += samples

    def end(self) -> None:
        self.ended = True


class Harness:
    """A session with a clock of its own."""

    def __init__(self, srtp: Srtp | None = None) -> None:
        self.now = 100.0
        self.streams: list[Stream] = []
        self.counts: Counter[Outcome] = Counter()
        hearing = Hearing(KINDS, DEPTH_S, 15.0, self.open, self.count)  # type: ignore[arg-type]  # a stand-in's streams
        self.session = Session(KINDS, DEPTH_S, hearing, self.count, srtp, self.now)

    def open(self, kind: PayloadType) -> list[Stream]:
        self.streams += [Stream(kind) for _ in range(kind.channels)]
        return self.streams[-kind.channels :]

    def count(self, outcome: Outcome, packets: int) -> None:
        self.counts[outcome] += packets

    def send(self, *datagrams: bytes, peer: tuple[str, int] = PEER, every_s: float = 0.02) -> None:
        """Datagrams, in real time."""
        for datagram in datagrams:
            self.session.rtp(datagram, peer, self.now)
            self.now += every_s

    def wait(self, seconds: float) -> None:
        """Nothing comes; the session is woken when it asks to be."""
        end = self.now + seconds
        while (due := self.session.due) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.advance(self.now)
        self.now = end


def speech(packets: int, first: int = 0) -> bytes:
    """Codes of mu-law, every packet of 160 another; 0x7f, its second zero, is left out."""
    return b"".join(bytes([(first + number) % 127]) * 160 for number in range(packets))


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


def test_only_the_first_peer_is_heard() -> None:
    harness = Harness()
    packets = Sender(speech(10)).packets()
    harness.send(*packets[:5])
    harness.send(*Sender(speech(3, 50), sequence=7).packets(), peer=OTHER)
    harness.send(*packets[5:])
    harness.session.rtcp(goodbye(SSRC), OTHER, harness.now)
    harness.session.rtcp(goodbye(77), PEER, harness.now)
    harness.wait(1)
    assert not harness.session.over
    assert harness.streams[0].codes == speech(10)
    assert harness.counts[Outcome.OTHER_SOURCE] == 5


def test_a_phone_that_is_started_anew_elsewhere_is_heard_once_its_old_address_is_silent() -> None:
    harness = Harness()
    harness.send(*Sender(speech(20)).packets())
    harness.wait(1)
    harness.send(*Sender(speech(20, 30), ssrc=9).packets(), peer=OTHER)
    assert harness.counts[Outcome.OTHER_SOURCE] == 20
    harness.wait(0.6)
    harness.send(*Sender(speech(20, 60), ssrc=10).packets(), peer=OTHER)
    harness.wait(1)
    assert harness.session.peer == OTHER
    harness.session.end()
    (stream,) = harness.streams
    assert stream.codes == speech(20) + speech(20, 60)
    # 20 packets of the stranger and two pauses, as long as nobody was heard.
    assert stream.gaps == [(20 * 160, 16_000, GapCause.BROKE_OFF)]


def test_a_source_that_moves_goes_on_by_its_own_clock() -> None:
    harness = Harness()
    packets = Sender(speech(200)).packets()
    harness.send(*packets[:20])
    harness.wait(2.4)
    harness.send(*packets[140:], peer=OTHER)
    harness.session.end()
    assert harness.session.peer == OTHER
    assert harness.streams[0].gaps == [(20 * 160, 120 * 160, GapCause.LOSS)]


def test_another_ssrc_takes_over_once_the_first_is_silent_and_the_stream_goes_on() -> None:
    harness = Harness()
    harness.send(*Sender(speech(20)).packets())
    harness.send(*Sender(speech(20, 40), ssrc=9, sequence=3, timestamp=77).packets())
    harness.wait(1.0)
    harness.send(*Sender(speech(20, 80), ssrc=10, sequence=3, timestamp=1 << 31).packets())
    harness.wait(1)
    harness.session.end()
    (stream,) = harness.streams
    assert stream.codes == speech(20) + speech(20, 40) + speech(20, 80)
    # 1 s of nothing, and no packet came before the first 20 ms of the new source were over.
    assert stream.gaps == [(40 * 160, 8000, GapCause.BROKE_OFF)]
    assert harness.session.source is not None
    assert harness.session.source.ssrc == 10


def test_another_ssrc_beside_one_that_goes_on_is_dropped() -> None:
    harness = Harness()
    mine, others = Sender(speech(200)).packets(), Sender(speech(200, 50), ssrc=9).packets()
    for own, other in zip(mine, others, strict=True):
        harness.send(own, every_s=0.01)
        harness.send(other, every_s=0.01)
    harness.session.end()
    (stream,) = harness.streams
    assert stream.codes == speech(200)
    # Those that still wait have not been dropped yet.
    assert 90 <= harness.counts[Outcome.OTHER_SOURCE] <= 200


def test_a_source_that_restarts_with_its_own_ssrc_is_heard_on() -> None:
    harness = Harness()
    harness.send(*Sender(speech(20), sequence=100, timestamp=0).packets())
    harness.send(*Sender(speech(20, 40), sequence=40_000, timestamp=1 << 30).packets())
    harness.wait(1)
    harness.session.end()
    assert harness.streams[0].codes == speech(20) + speech(20, 40)
    assert harness.streams[0].gaps == []


def test_one_stray_packet_of_another_sequence_is_not_a_restart() -> None:
    harness = Harness()
    packets = Sender(speech(20), sequence=100, timestamp=0).packets()
    harness.send(*packets[:10], rtp(40_000, 5, bytes(160)), *packets[10:])
    harness.wait(1)
    harness.session.end()
    assert harness.streams[0].codes == speech(20)


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


def test_what_waited_behind_a_goodbye_is_the_next_calls() -> None:
    harness = Harness()
    harness.send(*Sender(speech(10)).packets())
    harness.session.rtcp(goodbye(SSRC), PEER, harness.now)
    following = Sender(speech(3, 60), ssrc=8, sequence=1).packets()
    harness.send(*following)
    harness.wait(1)
    assert harness.session.over
    assert [came.datagram for came in harness.session.leftover()] == following
    assert harness.streams[0].codes == speech(10)


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


def test_with_a_key_only_what_was_made_with_it_is_heard_and_holds_the_port() -> None:
    key = b"k" * 30
    harness = Harness(Srtp(SrtpKey(SecretStr("inline:" + "a2tr" * 10))))
    phone = pylibsrtp.Session(pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND))
    plain = Sender(speech(20)).packets()
    harness.send(*plain[:3], peer=OTHER)
    sealed = [phone.protect(packet) for packet in plain]
    harness.send(*sealed[:10], sealed[9], *sealed[10:])
    harness.session.rtcp(goodbye(SSRC), PEER, harness.now)
    assert not harness.session.over
    harness.session.rtcp(phone.protect_rtcp(goodbye(SSRC)), PEER, harness.now)
    harness.wait(1)
    assert harness.session.over
    assert harness.streams[0].codes == speech(20)
    assert harness.counts[Outcome.UNAUTHENTIC] == 4
    assert harness.counts[Outcome.REPEATED] == 1

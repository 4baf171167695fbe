"""Who is heard: the first peer, and another address or source by rule once it is silent."""

import pylibsrtp
from pydantic import SecretStr

from tests.gateway.rtp.heard_session import OTHER, PEER, SSRC, Harness, speech
from tests.support.rtp import Sender, goodbye, rtp
from undertone.gateway.metrics import GapCause
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.srtp import Srtp, SrtpKey


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

"""RTP packets: what RFC 3550 allows around the audio is taken off, what it forbids is told in one line."""

import pytest

from tests.support.rtp import rtp
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.packet import MAX_BYTES, is_rtcp, parse, peek


def test_a_packet_says_what_its_header_holds() -> None:
    packet = parse(rtp(65_535, 0xFFFFFFFF, b"audio", payload_type=8, ssrc=0xDEADBEEF, marker=True))
    assert packet == (8, True, 65_535, 0xFFFFFFFF, 0xDEADBEEF, b"audio")


@pytest.mark.parametrize(
    ("first", "behind", "tail"),
    [
        (0x82, bytes(8), b""),
        (0x90, b"\xbe\xde\x00\x02" + bytes(8), b""),
        (0x90, b"\xbe\xde\x00\x00", b""),
        (0xA0, b"", b"\x00\x00\x03"),
        (0xA0, b"", b"\x01"),
        (0xBF, bytes(60) + b"\x00\x01\x00\x01" + bytes(4), b"\x00\x00\x00\x04"),
    ],
    ids=["contributing sources", "extension", "empty extension", "padding", "one byte of padding", "all of it"],
)
def test_only_the_audio_is_left(first: int, behind: bytes, tail: bytes) -> None:
    assert parse(rtp(1, 2, b"audio" + tail, first=first, behind=behind)).payload == b"audio"


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"", "0 bytes"),
        (rtp(1, 2)[:11], "11 bytes"),
        (rtp(1, 2, b"audio", first=0x40), "version 1"),
        (rtp(1, 2, b"audio", first=0x8F), "its header and padding take 72"),
        (rtp(1, 2, b"ab", first=0x90), "before its header extension"),
        (rtp(1, 2, b"", first=0x90, behind=b"\xbe\xde\x00\x01"), "its header and padding take 20"),
        (rtp(1, 2, b"audio\x00", first=0xA0), "padding of no bytes"),
        (rtp(1, 2, b"audio\xff", first=0xA0), "its header and padding take 267"),
        (rtp(1, 2, bytes(MAX_BYTES)), f"at most {MAX_BYTES}"),
    ],
)
def test_what_is_no_packet_is_told_in_one_line(datagram: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why) as raised:
        parse(datagram)
    assert "\n" not in str(raised.value)


def test_the_open_header_is_read_though_the_rest_is_encrypted() -> None:
    # Padding is told by the last byte, which SRTP hides.
    assert peek(rtp(7, 9, b"\x00", first=0xA0, ssrc=5))[2:5] == (7, 9, 5)


def test_rtcp_is_told_from_rtp_on_one_port() -> None:
    assert is_rtcp(b"\x80\xc8\x00\x06")
    assert not is_rtcp(rtp(1, 2, payload_type=0, marker=True))
    assert not is_rtcp(rtp(1, 2, payload_type=127, marker=True))
    assert not is_rtcp(b"\x80")

"""RTCP: what sources tell is read, what goes back is written as RFC 3550 has it."""

import struct

import pytest

from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.rtcp import ReportBlock, SenderReport, goodbye, parse, receiver_report

SENDER_REPORT = struct.pack("!BBHIQIII", 0x80, 200, 6, 0xABCD, 0x0123456789ABCDEF, 4000, 25, 4000)
DESCRIPTION = struct.pack("!BBHIBB", 0x81, 202, 3, 0xABCD, 1, 4) + b"host" + bytes(2)
GOODBYE = struct.pack("!BBHII", 0x82, 203, 2, 0xABCD, 0xEF01)


def test_a_sender_report_with_its_name() -> None:
    control = parse(SENDER_REPORT + DESCRIPTION)
    assert control.ssrc == 0xABCD
    assert control.report == SenderReport(0xABCD, 0x0123456789ABCDEF, 4000, 25, 4000)
    assert control.leaving == []


def test_a_goodbye_names_all_who_leave() -> None:
    assert parse(SENDER_REPORT + GOODBYE).leaving == [0xABCD, 0xEF01]
    assert parse(GOODBYE).leaving == [0xABCD, 0xEF01]


def test_report_blocks_of_a_source_and_other_kinds_are_passed_over() -> None:
    blocks = struct.pack("!BBHI", 0x81, 201, 7, 0xABCD) + bytes(24)
    application = struct.pack("!BBHI4s", 0x80, 204, 2, 0xABCD, b"name")
    unknown = struct.pack("!BBHI", 0x85, 222, 1, 7)
    control = parse(blocks + application + unknown)
    assert (control.ssrc, control.report, control.leaving) == (0xABCD, None, [])


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"", "too few"),
        (b"\x80\xc8\x00", "too few"),
        (b"\x40" + SENDER_REPORT[1:], "version 1"),
        (SENDER_REPORT[:-4], "ends behind its datagram"),
        (SENDER_REPORT + b"\x80\xca", "ends within the header"),
        (struct.pack("!BBHII", 0x80, 200, 2, 1, 2), "type 200 with 8 bytes"),
        (struct.pack("!BBHI", 0x83, 203, 1, 1), "type 203 with 4 bytes"),
        (SENDER_REPORT * 60, "at most 1500"),
    ],
)
def test_what_is_no_rtcp_is_told_in_one_line(datagram: bytes, why: str) -> None:
    with pytest.raises(MalformedMessage, match=why):
        parse(datagram)


def test_a_receiver_report_byte_for_byte() -> None:
    block = ReportBlock(0xABCD, fraction_lost=64, lost=-2, highest=0x2000A, jitter=12, last_report=0x4567, delay=65536)
    report = receiver_report(0x77, "me", [block])
    assert report[:32] == struct.pack(
        "!BBHIIIIIII", 0x81, 201, 7, 0x77, 0xABCD, 64 << 24 | 0xFFFFFE, 0x2000A, 12, 0x4567, 65536
    )
    assert report[32:] == struct.pack("!BBHIBB2s4x", 0x81, 202, 3, 0x77, 1, 2, b"me")


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 60])
def test_what_is_written_can_be_read_and_ends_on_four_bytes(name: str) -> None:
    datagram = goodbye(5, name, "too many calls")
    assert len(datagram) % 4 == 0
    assert parse(datagram).leaving == [5]
    assert b"\x0etoo many calls" in datagram

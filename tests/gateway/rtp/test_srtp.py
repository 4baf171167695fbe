"""SRTP: what was made with the key is read, all else is not, and no text of an error holds a key."""

import base64

import pylibsrtp
import pytest
from pydantic import SecretStr

from tests.support.rtp import rtp
from undertone.gateway.rtp.rtcp import goodbye, parse
from undertone.gateway.rtp.srtp import Srtp, SrtpKey, Unauthentic

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
    "AES_CM_128_HMAC_SHA1_32": (pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    "AEAD_AES_128_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
    "AEAD_AES_256_GCM": (pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
}


def phone(suite: str, key: bytes) -> pylibsrtp.Session:
    """The other side, made with the library alone."""
    policy = pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=SUITES[suite][0])
    return pylibsrtp.Session(policy)


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_reads_what_the_key_made(suite: str) -> None:
    key = bytes(range(SUITES[suite][1]))
    sender = phone(suite, key)
    srtp = Srtp(SrtpKey(SecretStr(f"{suite} inline:{text(key)}|2^20")))
    packet = rtp(1, 160, b"\x55" * 160)
    sealed = sender.protect(packet)
    assert packet[12:] not in sealed
    assert srtp.rtp(sealed) == packet
    report = goodbye(0x1234, "phone", "")
    assert srtp.rtcp(sender.protect_rtcp(report)) == report


def test_the_first_suite_of_rfc_4568_needs_no_name() -> None:
    key = b"k" * 30
    packet = rtp(1, 160, b"audio")
    assert Srtp(SrtpKey(SecretStr(text(key)))).rtp(phone("AES_CM_128_HMAC_SHA1_80", key).protect(packet)) == packet


def test_repeats_changed_bytes_other_keys_and_open_packets_are_not_read() -> None:
    key = b"k" * 30
    srtp = Srtp(SrtpKey(SecretStr(text(key))))
    packet = rtp(1, 160, b"audio" * 8)
    sealed = phone("AES_CM_128_HMAC_SHA1_80", key).protect(packet)
    for bad in (packet, sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20] + b"!" + sealed[21:], b"", bytes(1600)):
        with pytest.raises(Unauthentic) as raised:
            srtp.rtp(bad)
        assert not raised.value.repeated
    with pytest.raises(Unauthentic):
        srtp.rtp(phone("AES_CM_128_HMAC_SHA1_80", b"K" * 30).protect(packet))
    assert srtp.rtp(sealed) == packet
    with pytest.raises(Unauthentic) as raised:
        srtp.rtp(sealed)
    assert raised.value.repeated
    with pytest.raises(Unauthentic):
        srtp.rtcp(goodbye(1, "", ""))


def test_reports_go_back_under_the_same_key() -> None:
    key = b"k" * 30
    receiver = pylibsrtp.Session(pylibsrtp.Policy(key, pylibsrtp.Policy.SSRC_ANY_INBOUND))
    sealed = Srtp(SrtpKey(SecretStr(text(key)))).protected(goodbye(9, "me", "over"))
    assert parse(receiver.unprotect_rtcp(sealed)).leaving == [9]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "open sesame",
        "AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0",
        "NO_SUITE inline:c2VjcmV0",
        "inline:secretsecretse",
        f"inline:{text(b's' * 30)}|1:4",
        f"AEAD_AES_256_GCM {text(b's' * 30)}",
        text(b"s" * 31),
    ],
)
def test_what_is_no_key_is_told_without_it(given: str) -> None:
    with pytest.raises(ValueError, match="SRTP key") as raised:
        SrtpKey(SecretStr(given))
    assert not any(part in str(raised.value) for part in given.split() if part not in SUITES)

"""SRTP and SRTCP (RFC 3711, RFC 7714) by libsrtp: a key is written as in SDP's a=crypto (RFC 4568)."""

import base64
import binascii
import re
from importlib.util import find_spec

from pydantic import SecretStr

_DEFAULT_SUITE = "AES_CM_128_HMAC_SHA1_80"
# Names of SDP, and those of libsrtp with the bytes of key and salt.
_SUITES = {
    _DEFAULT_SUITE: ("SRTP_PROFILE_AES128_CM_SHA1_80", 30),
    "AES_CM_128_HMAC_SHA1_32": ("SRTP_PROFILE_AES128_CM_SHA1_32", 30),
    "AEAD_AES_128_GCM": ("SRTP_PROFILE_AEAD_AES_128_GCM", 28),
    "AEAD_AES_256_GCM": ("SRTP_PROFILE_AEAD_AES_256_GCM", 44),
}
# A lifetime may follow the key; an MKI, `|1:4`, may not: who has one key needs no number for it.
_KEY = re.compile(r"(?:(?P<suite>[A-Z0-9_]+)\s+)?(?:inline:)?(?P<key>[A-Za-z0-9+/]+={0,2})(?:\|(?:2\^)?\d+)?")


class Unauthentic(Exception):
    """A datagram that was not made with the key, or that came before."""

    def __init__(self, *, repeated: bool) -> None:
        super().__init__("came before" if repeated else "not made with the key")
        self.repeated = repeated


class SrtpKey:
    """Suite, master key and salt of one source. What is wrong with a text is told without the text.

    Raises:
        ValueError: no key, or one of another length than its suite's.
    """

    def __init__(self, text: SecretStr) -> None:
        if find_spec("pylibsrtp") is None:
            raise ValueError("SRTP key: needs the package's extra gateway")
        match = _KEY.fullmatch(text.get_secret_value().strip())
        suite = (match["suite"] or _DEFAULT_SUITE) if match else ""
        if match is None or suite not in _SUITES:
            raise ValueError(f"SRTP key: want [SUITE ]inline:BASE64, SUITE one of {', '.join(_SUITES)}")
        self.profile, size = _SUITES[suite]
        try:
            self.key = base64.b64decode(match["key"], validate=True)
        except binascii.Error:
            raise ValueError("SRTP key: not base64") from None
        if len(self.key) != size:
            raise ValueError(f"SRTP key: {len(self.key)} bytes of key and salt, {suite} has {size}")


class Srtp:
    """Takes the protection off what comes from a source, and protects the reports that go back to it."""

    def __init__(self, key: SrtpKey) -> None:
        import pylibsrtp  # noqa: PLC0415  only who is given keys needs it

        self._error = pylibsrtp.Error
        policy = pylibsrtp.Policy
        profile = getattr(policy, key.profile)
        self._in = pylibsrtp.Session(policy(key.key, policy.SSRC_ANY_INBOUND, srtp_profile=profile))
        self._out = pylibsrtp.Session(policy(key.key, policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))

    def rtp(self, datagram: bytes) -> bytes:
        """The RTP packet in an SRTP one.

        Raises:
            Unauthentic: it was not made with the key, or came before.
        """
        try:
            return self._in.unprotect(datagram)
        except (self._error, ValueError) as error:  # ValueError: longer than libsrtp's buffer
            raise Unauthentic(repeated="replay" in str(error)) from None

    def rtcp(self, datagram: bytes) -> bytes:
        """The RTCP packet in an SRTCP one.

        Raises:
            Unauthentic: it was not made with the key, or came before.
        """
        try:
            return self._in.unprotect_rtcp(datagram)
        except (self._error, ValueError) as error:
            raise Unauthentic(repeated="replay" in str(error)) from None

    def protected(self, report: bytes) -> bytes:
        """The SRTCP packet of a report."""
        return self._out.protect_rtcp(report)

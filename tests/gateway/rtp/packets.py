"""Packets as the parser gives them."""

from undertone.gateway.rtp.packet import RtpPacket


def packet(sequence: int, timestamp: int = 0, payload: bytes = bytes(160), ssrc: int = 1, kind: int = 0) -> RtpPacket:
    """A packet that has been read."""
    return RtpPacket(kind, False, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload)

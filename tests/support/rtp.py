"""RTP for tests: packets as senders make them, and a telephone that sends them."""

import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tests.support.installation import PATIENCE_S


def rtp(
    sequence: int,
    timestamp: int,
    payload: bytes = b"",
    *,
    payload_type: int = 0,
    ssrc: int = 0x1234,
    marker: bool = False,
    first: int = 0x80,
    behind: bytes = b"",
) -> bytes:
    """A packet; `first` is its first byte, `behind` stands between header and payload."""
    second = payload_type | (0x80 if marker else 0)
    header = struct.pack("!BBHII", first, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return header + behind + payload


def goodbye(*ssrcs: int) -> bytes:
    """RTCP by which sources leave."""
    return struct.pack(f"!BBH{len(ssrcs)}I", 0x80 | len(ssrcs), 203, len(ssrcs), *ssrcs)


def sender_report(ssrc: int, ntp: int) -> bytes:
    """RTCP by which a source tells its clock."""
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, ntp, 0, 0, 0)


@dataclass(frozen=True)
class Sender:
    """Cuts audio into packets; `step` is what the timestamp moves on by with each."""

    audio: bytes
    size: int = 160
    step: int = 160
    payload_type: int = 0
    ssrc: int = 0x1234
    sequence: int = 65_500
    timestamp: int = 0xFFFFF000

    def packets(self) -> list[bytes]:
        """All packets, in order; numbers and timestamps wrap on the way."""
        return [
            rtp(
                self.sequence + number,
                self.timestamp + number * self.step,
                self.audio[start : start + self.size],
                payload_type=self.payload_type,
                ssrc=self.ssrc,
                marker=number == 0,
            )
            for number, start in enumerate(range(0, len(self.audio), self.size))
        ]


def free_pair(host: str = "127.0.0.1") -> int:
    """An even port that is free, and the one above it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp_port:
            rtp_port.bind((host, 0))
            number = int(rtp_port.getsockname()[1])
            if number % 2 or number > 65_000:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                try:
                    control.bind((host, number + 1))
                except OSError:
                    continue
                return number


class Phone:
    """Sends from a pair of sockets of its own to a gateway's port."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._to = (host, port)
        own = free_pair()
        self.rtp, self.rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.rtp.bind((host, own))
        self.rtcp.bind((host, own + 1))
        self.rtcp.settimeout(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rtp.close()
        self.rtcp.close()

    def send(self, packets: Iterable[bytes], every_s: float = 0.005) -> None:
        """Packets, by default four times as fast as they are spoken."""
        for packet in packets:
            self.rtp.sendto(packet, self._to)
            time.sleep(every_s)

    def control(self, datagram: bytes) -> None:
        """RTCP, to the port above."""
        self.rtcp.sendto(datagram, (self._to[0], self._to[1] + 1))

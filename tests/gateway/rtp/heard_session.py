"""A session with stand-ins for what is around it: live streams, the clock, and a phone that speaks."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from undertone.acoustics.codecs import encode
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.rtp.codecs import STATIC, PayloadType
from undertone.gateway.rtp.hearing import Hearing
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.session import Session
from undertone.gateway.rtp.srtp import Srtp

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

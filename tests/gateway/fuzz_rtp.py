"""RTP and RTCP for the fuzzer: each datagram alone, and as one of a session that has begun."""

import itertools
import random

import numpy as np
from numpy.typing import NDArray

from tests.gateway.fuzz_target import Target
from tests.support.rtp import Sender, goodbye, rtp, sender_report
from undertone.gateway.metrics import GapCause
from undertone.gateway.rtp import packet, rtcp
from undertone.gateway.rtp.codecs import PayloadType, payload_types
from undertone.gateway.rtp.hearing import Hearing
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.session import Session

_PEER = ("192.0.2.1", 4000)
_SSRC = 0x1234
# A gap is believed as far as the clock bears it out, and this far beyond.
_TRUST_S = 15.0


class _Stream:
    """Takes what a live stream takes, and nothing else."""

    def __init__(self, kind: PayloadType, session_s: float) -> None:
        self._bound = int((session_s + 2 * _TRUST_S) * kind.rate)

    def feed(self, samples: NDArray[np.int16]) -> None:
        assert samples.dtype == np.int16
        assert samples.ndim == 1

    def gap(self, samples: int, cause: GapCause) -> None:
        assert 0 < samples <= self._bound
        assert cause in (GapCause.LOSS, GapCause.PAUSE, GapCause.BROKE_OFF)

    def end(self) -> None:
        pass


class _Call:
    """A session that lives on a clock of its own, and is begun anew once it is over."""

    def __init__(self) -> None:
        self._now = 0.0
        self._began = 0.0
        self._session = self._new()

    def take(self, datagram: bytes, *, control: bool) -> None:
        """A datagram, 20 ms after the last."""
        self._now += 0.02
        (self._session.rtcp if control else self._session.rtp)(datagram, _PEER, self._now)
        self._session.advance(self._now)
        assert (self._session.due or self._now) >= self._now, "it would be woken again and again"
        self._session.report(1, "me", self._now)
        if self._session.over or self._now - self._began > 20:
            self._session = self._new()

    def _new(self) -> Session:
        types = payload_types("96=L16/16000/2,98=L16/48000")

        def count(_: Outcome, packets: int) -> None:
            assert packets >= 0

        def streams(kind: PayloadType) -> list[_Stream]:
            return [_Stream(kind, 60.0) for _ in range(kind.channels)]

        self._began = self._now
        hearing = Hearing(types, 0.1, _TRUST_S, streams, count)  # type: ignore[arg-type]  # a stand-in's streams
        return Session(types, 0.1, hearing, count, None, self._now)


def rtp_packets() -> Target:
    """Packets of each payload type, with all that a header can have."""
    choose = random.Random(1)
    seeds = []
    for kind in (0, 8, 9, 10, 11, 13, 96, 98, 101, 127):
        seeds += Sender(choose.randbytes(960), payload_type=kind, sequence=kind, timestamp=160 * kind).packets()
    seeds.append(rtp(1, 160, choose.randbytes(160), first=0x92, behind=bytes(8) + b"\xbe\xde\x00\x01" + bytes(4)))
    seeds.append(rtp(2, 320, choose.randbytes(160) + b"\x00\x00\x00\x04", first=0xA0, marker=True))
    call = _Call()

    def take(datagram: bytes) -> None:
        call.take(datagram, control=False)
        assert len(packet.parse(datagram).payload) <= packet.MAX_BYTES

    return Target(seeds, take)


def rtcp_packets() -> Target:
    """Reports, names and goodbyes, alone and together, to a session that hears RTP beside them."""
    name = rtcp.receiver_report(_SSRC, "a phone", [])
    block = rtcp.receiver_report(_SSRC, "a phone", [rtcp.ReportBlock(1, 2, 3, 4, 5, 6, 7)])
    together = sender_report(_SSRC, 1 << 63) + name[8:] + goodbye(_SSRC)
    seeds = [sender_report(_SSRC, 7), name, block, together, goodbye(_SSRC, 5), rtcp.goodbye(_SSRC, "a phone", "over")]
    call, sent = _Call(), itertools.count()

    def take(datagram: bytes) -> None:
        number = next(sent)
        call.take(rtp(number, 160 * number, bytes(160)), control=False)
        call.take(datagram, control=True)
        rtcp.parse(datagram)

    return Target(seeds, take)

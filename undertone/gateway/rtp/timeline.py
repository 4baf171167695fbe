"""Timestamps to samples: where each packet's audio lies in its streams, and what is missing between two.

- What is missing between two timestamps is a gap of exactly so many samples: packets that were lost, or a pause of the
  source (silence suppression, comfort noise, telephone events).
- A timestamp below the last packet's end, but within the packet: what is there already is dropped from the packet.
- Any other timestamp, one that is `trust_s` ahead of the time that has passed, and another source: a clock that begins
  anew. The streams go on with a gap of the time that passed between the packets' arrivals; below the jitter buffer's
  depth that is jitter, and no gap.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from undertone.gateway.metrics import GapCause
from undertone.gateway.rtp.codecs import Decoder, PayloadType, decoder
from undertone.gateway.rtp.jitter import Ordered


class Sink(Protocol):
    """One channel of a call, fed with samples and gaps at the wire's rate."""

    def feed(self, samples: NDArray[np.int16]) -> None:
        """The next samples."""

    def gap(self, samples: int, cause: GapCause) -> None:
        """So many samples are missing."""


class Timeline:
    """Feeds the packets of a call, in order, to a sink for each channel."""

    def __init__(self, payload_type: PayloadType, sinks: Sequence[Sink], depth_s: float, trust_s: float) -> None:
        self._type = payload_type
        self._decode: Decoder = decoder(payload_type)
        self._sinks = sinks
        self._depth_s = depth_s
        self._trust_s = trust_s
        self._expected: int | None = None
        self._arrived: float | None = None
        self._lost = False

    def another_source(self) -> None:
        """The packets that follow are another source's: its clock says nothing of where the last one stood."""
        self._expected = None
        self._decode = decoder(self._type)

    def another_codec(self, payload_type: PayloadType) -> None:
        """The packets that follow are coded otherwise, at the same rates."""
        self._type = payload_type
        self._decode = decoder(payload_type)

    def silence(self, ordered: Ordered) -> None:
        """A packet without audio: its time is missing, as the next packet's timestamp will tell."""
        self._lost = self._lost or ordered.lost > 0

    def place(self, ordered: Ordered) -> None:
        """Feed a packet of audio, and what is missing before it.

        Raises:
            MalformedMessage: its payload ends within a sample; its time is lost.
            Refused: the streams take no more.
        """
        lost = self._lost or ordered.lost > 0
        self._lost = True  # until its payload is decoded
        samples = self._decode(ordered.packet.payload)
        self._lost = lost
        if not len(samples):
            return
        per_unit = self._type.rate // self._type.clock_rate
        units = len(samples) // per_unit
        cause, ahead = self._before(ordered, units)
        self._lost = False
        self._arrived = ordered.arrived
        self._expected = (ordered.packet.timestamp + units) & 0xFFFFFFFF
        samples = samples[max(0, -ahead) * per_unit :]
        for number, sink in enumerate(self._sinks):
            if ahead > 0:
                sink.gap(ahead * per_unit, cause)
            sink.feed(np.ascontiguousarray(samples[:, number]))

    def _before(self, ordered: Ordered, units: int) -> tuple[GapCause, int]:
        """What lies between the last packet and this one, in units of the timestamp; below 0 where they overlap."""
        if self._arrived is None:
            return GapCause.PAUSE, 0
        clock_rate = self._type.clock_rate
        passed_s = ordered.arrived - self._arrived
        if self._expected is not None:
            ahead = (ordered.packet.timestamp - self._expected + 0x80000000) % 0x100000000 - 0x80000000
            if -units < ahead <= (passed_s + self._trust_s) * clock_rate:
                return (GapCause.LOSS if self._lost else GapCause.PAUSE), ahead
        silent_s = passed_s - units / clock_rate
        return GapCause.BROKE_OFF, round(silent_s * clock_rate) if silent_s >= self._depth_s else 0

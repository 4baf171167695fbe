"""Which datagrams reach a port's call, and which may begin one: networks, rate, and who was refused a moment ago."""

from collections.abc import Callable, Mapping

from undertone.gateway.refusals import MalformedMessage, Refusal
from undertone.gateway.rtp.codecs import PayloadType
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.packet import peek

# Ten times what packets of 10 ms need; more than this is no call.
_PACKETS_PER_S, _BURST_PACKETS = 1000, 2000
# A call that was refused asks again after this; one that was too fast or too large must first be silent for it.
_REFUSED_S = 5.0
_OWN_FAULTS = (Refusal.TOO_FAST, Refusal.CALL_TOO_LARGE)
# Stragglers of a call that has said goodbye begin no new one.
_STRAGGLERS_S = 0.5


class Admission:
    """The door of one port. `may_send` knows the allowed networks."""

    def __init__(self, types: Mapping[int, PayloadType], may_send: Callable[[str], bool]) -> None:
        self._types = types
        self._may_send = may_send
        self._room, self._filled_at = float(_BURST_PACKETS), 0.0
        self._deaf_until = 0.0
        self._deaf_while_it_sends = False
        self._left_ssrc, self._left_until = -1, 0.0

    def refuses(self, host: str, now: float) -> Outcome | None:
        """Why a datagram is not even looked at; None where it is."""
        room = min(float(_BURST_PACKETS), self._room + (now - self._filled_at) * _PACKETS_PER_S)
        self._room, self._filled_at = room, now
        if room < 1:
            return Outcome.TOO_MANY
        self._room -= 1
        return None if self._may_send(host) else Outcome.NOT_ALLOWED

    def keeps_out(self, datagram: bytes, now: float) -> Outcome | None:
        """Why a datagram cannot be a call's first; None where it can."""
        try:
            packet = peek(datagram)
        except MalformedMessage:
            return Outcome.MALFORMED
        payload_type = self._types.get(packet.payload_type)
        if payload_type is None or not payload_type.is_audio:
            return Outcome.UNKNOWN_TYPE
        if now < self._deaf_until:
            if self._deaf_while_it_sends:
                self._deaf_until = now + _REFUSED_S
            return Outcome.REFUSED
        return Outcome.LATE if packet.ssrc == self._left_ssrc and now < self._left_until else None

    def refused(self, reason: Refusal, now: float) -> None:
        """The port's call was refused."""
        self._deaf_until = now + _REFUSED_S
        self._deaf_while_it_sends = reason in _OWN_FAULTS

    def left(self, ssrc: int, now: float) -> None:
        """A source has said goodbye."""
        self._left_ssrc, self._left_until = ssrc, now + _STRAGGLERS_S

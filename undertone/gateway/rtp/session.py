"""One call on one port, from its first valid packets to its goodbye: who may send, in which order it is heard."""

from collections.abc import Callable, Mapping

from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp import rtcp
from undertone.gateway.rtp.codecs import PayloadType
from undertone.gateway.rtp.hearing import Hearing
from undertone.gateway.rtp.jitter import Ordered
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.packet import RtpPacket, parse
from undertone.gateway.rtp.source import Peer, Source, Successor, Waiting
from undertone.gateway.rtp.srtp import Srtp, Unauthentic

# RFC 3550, A.1: so many packets in sequence, and a stray datagram is none of them.
_MIN_SEQUENTIAL = 2
# One packet and no second: nobody is there, and somebody else may come.
_PROBATION_S = 1.0
# A telephone that is started anew, or moved to another media server, sends from another address. Until its old one has
# been silent for this long, it is a stranger.
_HOLD_S = 2.0


class Session:
    """Hears one peer: the first whose packets are valid. While it sends, what others send is dropped and counted."""

    def __init__(
        self,
        types: Mapping[int, PayloadType],
        depth_s: float,
        hearing: Hearing,
        count: Callable[[Outcome, int], None],
        srtp: Srtp | None,
        now: float,
    ) -> None:
        self.peer: Peer | None = None
        self.control_peer: Peer | None = None
        """Where its RTCP comes from, once some has come."""
        self.last_heard = now
        """When its peer's last packet came, RTP or RTCP."""
        self.hearing = hearing
        self.over = False
        self.source: Source | None = None
        self._types = types
        self._depth_s = depth_s
        self._count = count
        self._srtp = srtp
        self._successor = Successor(depth_s)
        self._leaves_at: float | None = None

    @property
    def due(self) -> float | None:
        """When `advance` has something to do though nothing comes."""
        if self.source is None or self.over:
            return None
        waits_until = self.source.buffer.due if self._confirmed else None
        # Once it leaves, who comes after it is the next call.
        changes_at = self._leaves_at or self._successor.due(self.source.last_arrived)
        moments = (waits_until, changes_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def stale(self, now: float) -> bool:
        """Whether nothing more than a stray packet has come of it."""
        return not self._confirmed and now - self.last_heard > _PROBATION_S

    def rtp(self, datagram: bytes, peer: Peer, now: float) -> None:
        """A datagram came to the port.

        Raises:
            Refused: its streams cannot be opened, or take no more.
        """
        if self._is_held_against(peer, now):
            self._count(Outcome.OTHER_SOURCE, 1)
            return
        try:
            packet = parse(self._srtp.rtp(datagram) if self._srtp else datagram)
        except Unauthentic as error:
            self._count(Outcome.REPEATED if error.repeated else Outcome.UNAUTHENTIC, 1)
            return
        except MalformedMessage:
            self._count(Outcome.MALFORMED, 1)
            return
        if self.source is None and not self._begins(packet, peer):
            return
        self._arrived(Waiting(packet, datagram, peer, now))
        self.advance(now)

    def rtcp(self, datagram: bytes, peer: Peer, now: float) -> None:
        """A datagram came to the port of RTCP, or RTCP to the port."""
        if self.source is None or self.peer is None or peer[0] != self.peer[0]:
            self._count(Outcome.OTHER_SOURCE, 1)
            return
        try:
            control = rtcp.parse(self._srtp.rtcp(datagram) if self._srtp else datagram)
        except Unauthentic as error:
            self._count(Outcome.REPEATED if error.repeated else Outcome.UNAUTHENTIC, 1)
            return
        except MalformedMessage:
            self._count(Outcome.MALFORMED, 1)
            return
        if self.source.ssrc not in (control.ssrc, *control.leaving):
            self._count(Outcome.OTHER_SOURCE, 1)
            return
        self.control_peer, self.last_heard = peer, now
        if control.report and control.report.ssrc == self.source.ssrc:
            self.source.reported(control.report, now)
        if self.source.ssrc in control.leaving:
            # What it sent before may still be on its way, or waits at the other port.
            self._leaves_at = self._leaves_at or now + self._depth_s

    def advance(self, now: float) -> None:
        """Hear whatever is due at `now`.

        Raises:
            Refused: as `rtp`.
        """
        if self.source is None or self.over:
            return
        if self._confirmed:
            for ordered in self.source.buffer.take(now):
                self._hear(ordered)
        if self._leaves_at is not None:
            if now >= self._leaves_at:
                self.end()
            return
        due = self._successor.due(self.source.last_arrived)
        if due is not None and due <= now:
            self._succeed(now)

    def end(self) -> None:
        """The call is over: what waits is heard, and its streams end.

        Raises:
            Refused: as `rtp`, of what waited; the streams have ended all the same.
        """
        self.over = True
        try:
            self._flush()
        finally:
            self.hearing.end()

    def leftover(self) -> list[Waiting]:
        """What waited of another source when this one ended: the next call's first packets."""
        return self._successor.take()

    def report(self, ssrc: int, cname: str, now: float) -> bytes | None:
        """A receiver report to the source, protected where it is; None where nothing was heard yet."""
        if self.source is None:
            return None
        return self._protected(rtcp.receiver_report(ssrc, cname, [self.source.block(now)]))

    def goodbye(self, ssrc: int, cname: str, reason: str) -> bytes:
        """A goodbye to the source, protected where it is."""
        return self._protected(rtcp.goodbye(ssrc, cname, reason))

    @property
    def _confirmed(self) -> bool:
        return self.hearing.began or (self.source is not None and len(self.source.buffer) >= _MIN_SEQUENTIAL)

    def _is_held_against(self, peer: Peer, now: float) -> bool:
        if self.peer is None or self.source is None or peer == self.peer:
            return False
        return now - self.source.last_arrived < _HOLD_S

    def _protected(self, report: bytes) -> bytes:
        return self._srtp.protected(report) if self._srtp else report

    def _begins(self, packet: RtpPacket, peer: Peer) -> bool:
        """Whether a packet is one to begin with; then its peer is the session's."""
        payload_type = self._types.get(packet.payload_type)
        if payload_type is None or not payload_type.is_audio:
            self._count(Outcome.UNKNOWN_TYPE, 1)
            return False
        self.peer = peer
        self.source = Source(packet.ssrc, payload_type.clock_rate, self._depth_s)
        return True

    def _arrived(self, came: Waiting) -> None:
        assert self.source is not None  # noqa: S101
        packet = came.packet
        arrival = self.source.push(packet, came.arrived)
        if arrival is None:
            self._count(Outcome.OTHER_SOURCE, self._successor.push(came))
            return
        # The same source from another address: it has moved.
        self.peer, self.last_heard = came.peer, came.arrived
        self._count(Outcome(arrival) if packet.payload_type in self._types else Outcome.UNKNOWN_TYPE, 1)

    def _succeed(self, now: float) -> None:
        """Another sequence takes over; the streams go on."""
        assert self.source is not None  # noqa: S101
        self._flush()
        waiting = self._successor.take()
        self.source = Source(waiting[0].packet.ssrc, self.source.reception.clock_rate, self._depth_s)
        self.hearing.another_source()
        if waiting[0].peer != self.peer:
            self.control_peer = None
        for came in waiting:
            self._arrived(came)
        self.advance(now)

    def _flush(self) -> None:
        if self.source is not None and self._confirmed:
            for ordered in self.source.buffer.flush():
                self._hear(ordered)

    def _hear(self, ordered: Ordered) -> None:
        assert self.source is not None  # noqa: S101  it comes from there
        self.hearing.hear(ordered)
        self.source.reception.clock_rate = self.hearing.clock_rate or self.source.reception.clock_rate

"""What a session hears, as the streams of its call: opened with the first audio, anew where the codec is another."""

from collections.abc import Callable, Mapping, Sequence

from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.rtp.codecs import PayloadType
from undertone.gateway.rtp.jitter import Ordered
from undertone.gateway.rtp.outcomes import Outcome
from undertone.gateway.rtp.timeline import Timeline
from undertone.gateway.streams import LiveStream


class Hearing:
    """Takes a session's packets in order. `open_streams` gives a stream for each channel of a payload type.

    A codec of another rate, encoding or number of channels ends the streams and begins new ones: a stream has one of
    each.
    """

    def __init__(
        self,
        types: Mapping[int, PayloadType],
        depth_s: float,
        trust_s: float,
        open_streams: Callable[[PayloadType], Sequence[LiveStream]],
        count: Callable[[Outcome, int], None],
    ) -> None:
        self.streams: Sequence[LiveStream] = ()
        self._types = types
        self._depth_s, self._trust_s = depth_s, trust_s
        self._open_streams = open_streams
        self._count = count
        self._type: PayloadType | None = None
        self._timeline: Timeline | None = None

    @property
    def began(self) -> bool:
        """Whether its streams were opened."""
        return self._timeline is not None

    @property
    def clock_rate(self) -> int | None:
        """What timestamps count at; None before the first audio."""
        return self._type.clock_rate if self._type else None

    def hear(self, ordered: Ordered) -> None:
        """The next packet.

        Raises:
            Refused: streams cannot be opened, or take no more.
        """
        self._count(Outcome.LOST, ordered.lost)
        payload_type = self._types.get(ordered.packet.payload_type)
        if payload_type is None or not payload_type.is_audio:
            if self._timeline:
                self._timeline.silence(ordered)
            return
        timeline = self._timeline_of(payload_type)
        try:
            timeline.place(ordered)
        except MalformedMessage:
            self._count(Outcome.MALFORMED, 1)

    def another_source(self) -> None:
        """The packets that follow are another source's, of the same call."""
        if self._timeline:
            self._timeline.another_source()

    def end(self) -> None:
        """The call is over."""
        for stream in self.streams:
            stream.end()

    def _timeline_of(self, payload_type: PayloadType) -> Timeline:
        before, self._type = self._type, payload_type
        if self._timeline is None or before is None or not payload_type.goes_on(before):
            self.end()
            self.streams = self._open_streams(payload_type)
            self._timeline = Timeline(payload_type, self.streams, self._depth_s, self._trust_s)
        elif payload_type != before:
            self._timeline.another_codec(payload_type)
        return self._timeline

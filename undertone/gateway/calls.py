"""The calls that come in, whatever their wire: who may begin, who goes on, who has ended.

A call that breaks off (its wire is cut without an end) has `resume_s` to come back. If it does, its stream goes on,
with a gap as long as it was away by this machine's clock; if not, the stream is ended. Who comes back later, or to a
gateway that was started anew, begins a new stream with a later start time, and workers end the old one.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from producer.start_times import StartTimes
from schemas.audio import AudioChunk, Encoding, Role
from schemas.errors import UserError, one_line
from schemas.streams import valid_name
from undertone.acoustics.resample import target_rate
from undertone.gateway.limits import Pace
from undertone.gateway.metrics import GapCause, GatewayMetrics
from undertone.gateway.names import CallName, CallNames
from undertone.gateway.outbox import Account, Outbox
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.streams import LiveStream

# Starts that are remembered, so that none is given twice; older ones are behind the clock by then.
_MAX_STARTS = 100_000
_MAX_CHANNEL = 32
_LOOK_S = 0.1
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    stream: LiveStream
    wire: str
    account: Account
    away_since: float | None = None
    expiry: asyncio.TimerHandle | None = None


class Calls:
    """All streams that are open, by call id and channel. Everything here belongs to the event loop, and never waits."""

    def __init__(
        self,
        settings: GatewaySettings,
        names: CallNames,
        outbox: Outbox,
        start_times: StartTimes,
        metrics: GatewayMetrics,
    ) -> None:
        self.settings = settings
        self.names = names
        self.metrics = metrics
        self.draining = False
        self._outbox = outbox
        self._start_times = start_times
        self._open: dict[tuple[str, str], _Open] = {}
        self._channels: Counter[str] = Counter()
        self._connections = 0

    @property
    def running(self) -> int:
        """Streams that have not ended."""
        return len(self._open)

    @contextmanager
    def connection(self, wire: str) -> Iterator[None]:
        """Count one connection while it lasts.

        Raises:
            Refused: there are too many.
        """
        if self._connections >= self.settings.max_connections:
            raise Refused(
                Refusal.TOO_MANY_CONNECTIONS, f"{self.settings.max_connections} connections, the most allowed"
            )
        self._connections += 1
        self.metrics.connections.labels(wire).inc()
        self.metrics.open_connections.labels(wire).inc()
        try:
            yield
        finally:
            self._connections -= 1
            self.metrics.open_connections.labels(wire).dec()

    def refused(self, wire: str, refused: Refused, who: object = "") -> None:
        """Count and log what a wire has answered with its error. `who` is the other side, or the call."""
        self.metrics.refused(wire, refused.reason)
        _log.warning("%s: refused %s (%s): %s", wire, one_line(who, 160), refused.reason, one_line(refused.text))

    def admit(self, call_id: str) -> None:
        """Ask whether a call may begin, or go on, before its first audio comes.

        Raises:
            Refused: it may not now.
        """
        valid = self._valid_call_id(call_id)
        if valid in self._channels:
            return
        if self.draining:
            raise Refused(Refusal.DRAINING, "this gateway is about to stop")
        if self._outbox.away:
            raise Refused(Refusal.KAFKA_AWAY, "Kafka takes nothing now")
        if len(self._channels) >= self.settings.max_calls:
            raise Refused(Refusal.TOO_MANY_CALLS, f"{self.settings.max_calls} calls, the most allowed")

    def open(
        self,
        wire: str,
        call_id: str,
        channel: str,
        role: Role,
        rate: int,
        encoding: Encoding = Encoding.L16,
        *,
        live: bool = True,
        traceparent: str | None = None,
    ) -> LiveStream:
        """The stream of one channel of a call: a new one, or the one that broke off a moment ago.

        Names are made valid as a producer makes them. `live` False: it may come faster than it is spoken. All chunks
        of a new one carry `traceparent`.

        Raises:
            Refused: it may not begin, or is open already.
        """
        self.admit(call_id)
        name = CallName(self._valid_call_id(call_id), valid_name(channel, _MAX_CHANNEL, role.value), role)
        there = self._open.get((name.call_id, name.channel))
        if there and there.away_since is None:
            raise Refused(Refusal.ALREADY_OPEN, f"{name.call_id}/{name.channel} is open already")
        if there and (there.stream.rate, there.stream.encoding, there.stream.name) == (rate, encoding, name):
            return self._resume(there)
        if there:
            there.stream.end()
        return self._new(wire, name, rate, encoding, live, traceparent)

    def broke_off(self, stream: LiveStream) -> None:
        """The wire was cut without an end: the call may come back within `resume_s`, then its stream is ended."""
        there = self._open.get((stream.name.call_id, stream.name.channel))
        if not stream.open or there is None or there.stream is not stream or there.away_since is not None:
            return
        stream.flush()
        self.metrics.broken_off.labels(there.wire).inc()
        there.away_since = time.monotonic()
        there.expiry = asyncio.get_running_loop().call_later(self.settings.resume_s, stream.end)

    def account_of(self, stream: LiveStream) -> Account:
        """What becomes of an open stream's chunks; it holds on when the stream has ended."""
        return self._open[stream.name.call_id, stream.name.channel].account

    async def room(self) -> None:
        """Wait until there is room for what need not be sent now."""
        while not self._outbox.room:
            await asyncio.sleep(_LOOK_S)

    def close(self) -> None:
        """End every stream: the gateway stops. Who still feeds one is refused."""
        for there in list(self._open.values()):
            there.stream.end(Refused(Refusal.DRAINING, "this gateway stops"))

    def _resume(self, there: _Open) -> LiveStream:
        assert there.away_since is not None  # noqa: S101
        if there.expiry:
            there.expiry.cancel()
        away_s = time.monotonic() - there.away_since
        there.away_since = there.expiry = None
        self.metrics.resumed.labels(there.wire).inc()
        there.stream.gap(round(away_s * there.stream.rate), GapCause.BROKE_OFF)
        return there.stream

    def _new(
        self, wire: str, name: CallName, rate: int, encoding: Encoding, live: bool, traceparent: str | None
    ) -> LiveStream:
        settings = self.settings
        account = Account(partial(self._lost, wire, target_rate(rate)))
        stream = LiveStream(
            name,
            rate,
            encoding,
            chunk_ms=settings.chunk_ms,
            pace=Pace(rate, settings.burst_s, settings.max_call_bytes, live=live),
            begin=partial(self._begin, name.call_id),
            send=partial(self._send, wire, account),
            missing=partial(self.metrics.gap, wire),
            ended=self._ended,
            traceparent=traceparent,
        )
        self._open[name.call_id, name.channel] = _Open(stream, wire, account)
        self._channels[name.call_id] += 1
        self.metrics.streams.labels(wire).inc()
        self.metrics.open_streams.labels(wire).inc()
        return stream

    def _ended(self, stream: LiveStream) -> None:
        there = self._open.pop((stream.name.call_id, stream.name.channel))
        if there.expiry:
            there.expiry.cancel()
        self._channels[stream.name.call_id] -= 1
        if not self._channels[stream.name.call_id]:
            del self._channels[stream.name.call_id]
        self.metrics.open_streams.labels(there.wire).dec()

    def _begin(self, call_id: str) -> datetime:
        try:
            start = self._start_times.begin([call_id])
        except UserError as error:
            raise Refused(Refusal.INVALID_CALL_ID, str(error)) from error
        by_call = self._start_times.by_call
        by_call.pop(call_id, None)
        by_call[call_id] = start
        # The oldest goes, unless it lies ahead of the clock: then it is what keeps a call from beginning before it.
        oldest = next(iter(by_call))
        if len(by_call) > _MAX_STARTS and by_call[oldest] < start - timedelta(hours=1):
            del by_call[oldest]
        return start

    def _send(self, wire: str, account: Account, chunk: AudioChunk) -> None:
        self.metrics.audio_seconds.labels(wire).inc(chunk.samples / chunk.sample_rate)
        self._outbox.put(chunk, f"/undertone/gateway/{wire}", account)

    def _lost(self, wire: str, rate: int, samples: int) -> None:
        self.metrics.gap(wire, GapCause.KAFKA, samples / rate)

    def _valid_call_id(self, call_id: str) -> str:
        if not call_id.strip():
            raise Refused(Refusal.INVALID_CALL_ID, "no call id")
        return valid_name(call_id)

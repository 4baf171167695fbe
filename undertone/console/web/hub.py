"""Between the feed and the pages: what came is remembered and given to every page that is open."""

import asyncio
import json
import math
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

from sse_starlette import ServerSentEvent

from undertone.console.web.entries import Entry, positions_text
from undertone.console.web.feed import Batch
from undertone.console.web.memory import Memory
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.readers import Reader, ReaderOver

# Ten messages a second at most: the eye sees no more, and a message of many events costs as much as one of a few.
_GATHER_S = 0.1
# The page hears from the server at least so often; three times without a word it connects anew.
_TICK_S = 5.0
# What the clock is set by: the last half minute under load.
_BEHIND = 300
# Calls that somebody has had forgotten: their last events come within seconds.
_FORGOTTEN = 1_000
# How soon a browser comes back.
_RETRY_MS = 1_000


class Hub:
    """Lives in the event loop; `take` alone may be called from the feed's thread."""

    def __init__(self, limit: int, away: Callable[[], str], metrics: ConsoleMetrics) -> None:
        self.memory = Memory(limit)
        self.readers: set[Reader] = set()
        self.emotions: tuple[str, ...] = ()
        """What the newest event knows: all emotions of its model."""
        self._loop = asyncio.get_running_loop()
        self._away = away
        self._metrics = metrics
        self._limit = limit
        self._closed = False
        self._forgotten: dict[str, float] = {}
        self._alerts = "[]"
        self._behind_ms: deque[float] = deque(maxlen=_BEHIND)

    @property
    def now_ms(self) -> float:
        """The time by Kafka's timestamps, as the quickest of the last events show it.

        Pages count from it how long ago an event was: a clock of this machine that is wrong would shift all of them.
        """
        return time.time() * 1000 - min(self._behind_ms, default=0.0)

    def take(self, batch: Batch, done: Callable[[], None]) -> None:
        """What the feed has read."""
        self._loop.call_soon_threadsafe(self._add, batch, done)

    def forget(self, call_id: str, until_ms: float = math.inf) -> None:
        """Know nothing of a call any more, nor of what still comes of it with a timestamp up to a moment."""
        self._forgotten[call_id] = max(until_ms, self._forgotten.get(call_id, -1.0))
        while len(self._forgotten) > _FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
        self.memory.forget(call_id)

    def forget_soon(self, call_id: str, until_ms: float) -> None:
        """The same from any thread."""
        self._loop.call_soon_threadsafe(self.forget, call_id, until_ms)

    def tell(self, alerts: str) -> None:
        """What rules are met now, as JSON; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._tell, alerts)

    def close(self) -> None:
        """Let every page's stream end."""
        self._closed = True
        for reader in self.readers:
            reader.wake()

    async def stream(
        self, positions: Mapping[int, int] | None, call: str | None = None, older: Sequence[Entry] = ()
    ) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events for one page that stood at `positions`, until it leaves or has to come back.

        With `call` they are of that call alone, and begin with what is `older` than the memory.
        """
        reader = Reader(self.memory, positions, call, older)
        self.readers.add(reader)
        self._metrics.open_pages.set(len(self.readers))
        self._metrics.pages.labels("anew" if reader.anew else "resumed").inc()
        try:
            if reader.anew:
                yield ServerSentEvent("{}", event="anew", retry=_RETRY_MS)
            ticked, alerts = -math.inf, "[]"
            while not self._closed:
                if time.monotonic() - ticked >= _TICK_S:
                    ticked = time.monotonic()
                    yield self._tick()
                if alerts != self._alerts:
                    alerts = self._alerts
                    yield ServerSentEvent(alerts, event="alerts")
                await reader.wait(_TICK_S)
                taken, stand = reader.take()
                self._metrics.shed_updates.inc(reader.shed)
                if taken:
                    data = f"[{','.join(entry.data for entry in taken)}]"
                    yield ServerSentEvent(data, event="events", id=positions_text(stand) if stand else None)
                    await asyncio.sleep(_GATHER_S)
        except ReaderOver:
            self._metrics.closed_pages.labels("began_anew" if reader.over else "too_slow").inc()
        finally:
            self.readers.discard(reader)
            self._metrics.open_pages.set(len(self.readers))

    def _tick(self) -> ServerSentEvent:
        return ServerSentEvent(json.dumps({"now": round(self.now_ms), "away": self._away()}), event="tick")

    def _tell(self, alerts: str) -> None:
        self._alerts = alerts
        for reader in self.readers:
            reader.wake()

    def _add(self, batch: Batch, done: Callable[[], None]) -> None:
        done()
        if self._forgotten:
            until_ms = self._forgotten
            known = [one for one in batch.entries if one.moment_ms > until_ms.get(one.stream.partition("/")[0], -1)]
            batch = replace(batch, entries=known)
        if batch.anew:
            self.memory = Memory(self._limit)
            for reader in self.readers:
                reader.over = True
        if batch.behind_ms is not None:
            self._behind_ms.append(batch.behind_ms)
            self._metrics.delay_seconds.observe(max(0.0, batch.behind_ms / 1000))
        for kind, count in Counter(entry.type for entry in batch.entries).items():
            self._metrics.events.labels(kind).inc(count)
        self.emotions = next((one.emotions for one in reversed(batch.entries) if one.emotions), self.emotions)
        self.memory.add(batch.entries, batch.positions)
        self._metrics.remembered.set(len(self.memory))
        for reader in self.readers:
            reader.offer(batch.entries)

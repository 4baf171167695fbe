"""What pages are told, without Kafka: the clock, the end, and an event's place."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from sse_starlette import ServerSentEvent

from undertone.console.web.entries import Entry
from undertone.console.web.feed import Batch
from undertone.console.web.hub import Hub
from undertone.console.web.metrics import ConsoleMetrics

START = Batch([], {0: 0}, anew=True)


def batch(offset: int, behind_ms: float | None = None) -> Batch:
    return Batch([Entry(0, offset, "a/customer", False, 0, str(offset))], {0: offset + 1}, behind_ms=behind_ms)


def done() -> None:
    """Nobody waits for it."""


async def told(stream: AsyncIterator[ServerSentEvent]) -> tuple[str | None, str | None, Any]:
    """The next message: its kind, its id, and what it says."""
    event = await asyncio.wait_for(anext(stream), 60)
    return event.event, event.id, json.loads(str(event.data))


async def hub_with(*batches: Batch) -> Hub:
    hub = Hub(1000, lambda: "no answer", ConsoleMetrics())
    for one in (START, *batches):
        hub.take(one, done)
    await asyncio.sleep(0)
    return hub


def test_a_page_hears_what_there_is_then_what_comes_and_then_the_end() -> None:
    async def listen() -> None:
        hub = await hub_with(batch(0), batch(1))
        stream = hub.stream(None)
        assert (await told(stream))[0] == "anew"
        kind, _, tick = await told(stream)
        assert (kind, tick["away"]) == ("tick", "no answer")
        assert await told(stream) == ("events", "0:2", [0, 1])
        hub.take(batch(2), done)
        assert await told(stream) == ("events", "0:3", [2])
        hub.close()
        assert await anext(stream, None) is None
        assert not hub.readers

    asyncio.run(listen())


def test_a_page_that_comes_back_is_not_told_to_begin_anew() -> None:
    async def listen(positions: Mapping[int, int]) -> None:
        stream = (await hub_with(batch(0), batch(1))).stream(positions)
        assert (await told(stream))[0] == "tick"
        assert await told(stream) == ("events", "0:2", [1])

    asyncio.run(listen({0: 1}))


def test_what_kafka_no_longer_has_ends_every_stream() -> None:
    async def listen() -> None:
        hub = await hub_with(batch(5))
        stream = hub.stream({0: 6})
        await told(stream)
        hub.take(START, done)
        assert await anext(stream, None) is None
        assert hub.memory.shown() == []

    asyncio.run(listen())


def test_a_wrong_clock_is_set_by_what_comes_live() -> None:
    async def look() -> None:
        hub = await hub_with(batch(0, -90_000.0), batch(1, -89_000.0), batch(2))
        assert abs(hub.now_ms - time.time() * 1000 - 90_000) < 1000

    asyncio.run(look())

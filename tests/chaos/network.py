"""The network between clients and brokers: TCP proxies that can be cut, slowed down and held back.

Kafka tells its clients where its brokers are, so each client that is to be disturbed has a listener of its own at each
broker, and that listener advertises the client's proxy.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

_CHUNK = 64 * 1024
# What may wait in a proxy for one direction of one connection: as much as a socket's buffers would hold.
_WAITING = 16

Cut = Literal["silent", "reset"]


class Link:
    """One client's way to all brokers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = asyncio.Event()
        self._open.set()
        self._refusing = False
        self._delay_s = 0.0
        self._bytes_per_s: float | None = None
        self._free_at = 0.0  # when the line has sent what it was given
        self._tasks: set[asyncio.Task[None]] = set()

    def forward_to(self, port: int) -> int:
        """A port of 127.0.0.1 that leads to `port` as long as the link is whole."""

        async def listen() -> int:
            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await self._serve(reader, writer, port)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            return int(server.sockets[0].getsockname()[1])

        return asyncio.run_coroutine_threadsafe(listen(), self._loop).result()

    @contextmanager
    def cut(self, how: Cut) -> Iterator[None]:
        """Nothing passes in the block.

        `silent`: connections stay, and what was under way arrives afterwards, as TCP does over a broken line.
        `reset`: connections are reset and new ones closed at once.
        """
        self._call(self._close_all if how == "reset" else self._open.clear)
        try:
            yield
        finally:
            self._call(self._mend)

    @contextmanager
    def slow(self, delay_s: float = 0.0, bytes_per_s: float | None = None) -> Iterator[None]:
        """In the block all arrives `delay_s` later, and no more than `bytes_per_s` pass in both directions together."""
        self._delay_s, self._bytes_per_s = delay_s, bytes_per_s
        try:
            yield
        finally:
            self._delay_s, self._bytes_per_s = 0.0, None

    def _mend(self) -> None:
        self._refusing = False
        self._open.set()

    def _close_all(self) -> None:
        self._refusing = True
        for task in self._tasks:
            task.cancel()

    def _call(self, function: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(function)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            if not self._refusing:
                await self._open.wait()
                from_broker, upstream = await asyncio.open_connection("127.0.0.1", port)
                await self._pass_both_ways(reader, upstream, from_broker, writer)
        except (OSError, asyncio.CancelledError):
            pass  # one side has gone, or the link was cut: the other side is closed below
        finally:
            self._tasks.discard(task)
            for side in (writer, upstream):
                if side is not None:
                    side.transport.abort()

    async def _pass_both_ways(
        self,
        from_client: asyncio.StreamReader,
        to_broker: asyncio.StreamWriter,
        from_broker: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
    ) -> None:
        there = asyncio.create_task(self._pass(from_client, to_broker))
        back = asyncio.create_task(self._pass(from_broker, to_client))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, in order: what was read is written when it is due."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)
        write = asyncio.create_task(self._write(waiting, writer))
        try:
            while data := await reader.read(_CHUNK):
                await waiting.put((self._due(len(data)), data))
            await waiting.put((0.0, b""))
            await write
        finally:
            write.cancel()

    def _due(self, size: int) -> float:
        now = self._loop.time()
        if self._bytes_per_s is not None:
            self._free_at = max(self._free_at, now) + size / self._bytes_per_s
            return self._free_at + self._delay_s
        return now + self._delay_s

    async def _write(self, waiting: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await waiting.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await self._open.wait()
            writer.write(data)
            await writer.drain()


class Network:
    """All links, in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def link(self) -> Link:
        """A whole link."""
        return Link(self._loop)

    def close(self) -> None:
        """Close every connection and stop listening."""

        async def cancel() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

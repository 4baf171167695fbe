"""Pages that are open: each gets every segment and summary, and of updates as many as it keeps up with."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping

from undertone.console.web.entries import Entry
from undertone.console.web.memory import Memory, joined

# A page that is so far behind is closed. It comes back by itself and gets the rest from the memory.
_MOST_WAITING = 5_000
# Segments in one message: some 150 KB, so that a page draws in between.
_MESSAGE = 500


class ReaderOver(Exception):
    """A page has to come back: it takes less than there are segments, or all that it was told counts no more."""


class Reader:
    """What waits for one page.

    Of a stream's updates only the newest waits, and none that is older than a segment of it: that is how updates are
    shed. Segments are never shed. With `call` it is the page of one call,
    which begins with what is known of it that is `older` than the memory.
    """

    def __init__(
        self,
        memory: Memory,
        positions: Mapping[int, int] | None,
        call: str | None = None,
        older: Iterable[Entry] = (),
    ) -> None:
        self._call = call
        missed = memory.since(positions) if positions is not None else None
        self.anew = missed is None
        """Whether the page is to forget what it had: what it missed is not known any more, or it had nothing."""
        self.over = False
        first = (
            missed if missed is not None else memory.shown() if call is None else joined(older, memory.of_call(call))
        )
        self._memory = memory
        self._most = _MOST_WAITING + len(first)
        # None until a page that begins anew has all that is shown: it would begin anew once more.
        self._sent = dict(positions) if positions is not None and missed is not None else None
        self._kept: deque[Entry] = deque()
        self._updates: dict[str, Entry] = {}
        self._shed = 0
        self._woken = asyncio.Event()
        self.offer(first)

    @property
    def shed(self) -> int:
        """Updates that newer events took the place of, since this was asked last."""
        shed, self._shed = self._shed, 0
        return shed

    def offer(self, entries: Iterable[Entry]) -> None:
        """Events that have just come."""
        for entry in entries:
            if self._call is not None and not entry.of_call(self._call):
                continue
            self._shed += self._updates.pop(entry.stream, None) is not None
            if entry.update:
                self._updates[entry.stream] = entry
            else:
                self._kept.append(entry)
        self._woken.set()

    def wake(self) -> None:
        """Let `take` look again."""
        self._woken.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait until there is something, at most for this time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def take(self) -> tuple[list[Entry], dict[int, int] | None]:
        """What to send next, and where the page stands once it has it.

        Raises:
            ReaderOver: more waits than may, or `over` is set.
        """
        if self.over or len(self._kept) > self._most:
            raise ReaderOver
        taken = [self._kept.popleft() for _ in range(min(_MESSAGE, len(self._kept)))]
        if self._kept:
            self._woken.set()
            if self._sent is not None:
                self._sent |= {entry.partition: entry.offset + 1 for entry in taken}
            return taken, self._sent
        taken += self._updates.values()
        self._updates.clear()
        self._sent = dict(self._memory.positions)
        return taken, self._sent

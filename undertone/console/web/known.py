"""What is known of a call: what the console remembers, and before that what its history has."""

from collections.abc import Sequence

from undertone.console.web.entries import Entry
from undertone.console.web.history.service import History
from undertone.console.web.hub import Hub
from undertone.console.web.memory import joined


class Known:
    """Lives in the event loop."""

    def __init__(self, hub: Hub, history: History) -> None:
        self._hub = hub
        self._history = history

    async def older(self, call: str) -> Sequence[Entry]:
        """What the history has of a call."""
        return await self._history.of_call(call)

    async def of_call(self, call: str) -> list[Entry]:
        """Its events by channel, each channel's in their order; of updates the newest alone."""
        older = await self.older(call)
        # Asked for after the waiting: what has come meanwhile is in the memory.
        return joined(older, self._hub.memory.of_call(call))

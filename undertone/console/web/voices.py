"""What people say of utterances: everybody as the history has read it, and this console's own labels at once."""

import asyncio
from collections.abc import Iterable, Mapping

from undertone.console.web.history.store import Store
from undertone.console.web.labels import Labels, Said

Place = tuple[int, int]
Voices = Mapping[Place, dict[str, str]]
"""By the place of an utterance what each person says of it, who spoke last at the end."""


class Everybody:
    """Lives in the event loop."""

    def __init__(self, labels: Labels, store: Store) -> None:
        self._labels = labels
        self._store = store

    async def of_call(self, call: str) -> Voices:
        """What is said of a call's utterances."""
        told = await asyncio.to_thread(self._store.said_of, call)
        return _together([*told, *(one for one in self._labels.sent() if one.call == call)])

    async def since(self, moment_ms: int) -> Voices:
        """What is said of utterances that came after a moment; of those before at most some."""
        return _together([*await asyncio.to_thread(self._store.said, moment_ms), *self._labels.sent()])


def disagree(voices: Mapping[str, str]) -> bool:
    """Whether people say different things of an utterance."""
    return len(set(voices.values())) > 1


def _together(said: Iterable[Said]) -> Voices:
    """The last word of each person; who took it back has none."""
    found: dict[Place, dict[str, str]] = {}
    for one in sorted(said, key=lambda one: one.at_ms):
        of_place = found.setdefault(one.place, {})
        of_place.pop(one.by, None)
        if one.emotion:
            of_place[one.by] = one.emotion
    return {place: voices for place, voices in found.items() if voices}

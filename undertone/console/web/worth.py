"""What is worth labelling: what people disagree on, what the model is unsure of, and emotions that are rare."""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from undertone.console.web.access import needs
from undertone.console.web.entries import Entry
from undertone.console.web.hub import Hub
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.roles import Role
from undertone.console.web.voices import Everybody, Voices, disagree

# Of the last so many, some minutes of 200 calls: 10 ms to look through.
_LOOKED_AT = 20_000
_SHOWN = 50
# Who labels is to hear many callers.
_OF_A_CALL = 2
_UNSURE = 0.7
# An emotion is rare where it is said less than a fifth as often as the one that is said most.
_RARE = 0.8
_RARITY = 0.5
_DISPUTED = 2.0


class Worth:
    """The address `/api/worth`, for the role label."""

    def __init__(self, hub: Hub, everybody: Everybody, metrics: ConsoleMetrics) -> None:
        self._hub = hub
        self._everybody = everybody
        self.routes = [Route("/api/worth", needs(Role.LABEL, self._answer, metrics))]

    async def _answer(self, request: Request) -> Response:
        entries = self._hub.memory.newest(_LOOKED_AT)
        said = await self._everybody.since(min((entry.moment_ms for entry in entries), default=0))
        found = worth_labelling(entries, said, request.user.name)
        data = ",".join(f'{{"why":{json.dumps(why)},"event":{entry.data}}}' for entry, why in found)
        return Response(f"[{data}]", media_type="application/json")


def worth_labelling(entries: Iterable[Entry], voices: Voices, by: str) -> list[tuple[Entry, list[str]]]:
    """The utterances that a label of `by` says most about, with why.

    What people disagree on comes first; else it is the doubt of each that nobody has labelled, and how rare it is.
    """
    can_be = [one for one in entries if one.doubt is not None]
    said = Counter(one.label for one in can_be)
    most = max(said.values(), default=1)

    def of(entry: Entry) -> Mapping[str, str]:
        return voices.get((entry.partition, entry.offset), {})

    def score(entry: Entry) -> float:
        return _DISPUTED * disagree(of(entry)) + (entry.doubt or 0.0) + _RARITY * (1 - said[entry.label] / most)

    new = (one for one in can_be if not of(one) or (disagree(of(one)) and by not in of(one)))
    # More than are shown, for some calls have many.
    best = heapq.nlargest(10 * _SHOWN, new, key=score)
    return [(one, list(_why(one, 1 - said[one.label] / most, of(one)))) for one in _of_many_calls(best)][:_SHOWN]


def _of_many_calls(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: Counter[str] = Counter()
    for entry in entries:
        call = entry.stream.partition("/")[0]
        seen[call] += 1
        if seen[call] <= _OF_A_CALL:
            yield entry


def _why(entry: Entry, rarity: float, voices: Mapping[str, str]) -> Iterator[str]:
    if voices:
        yield f"disagreeing: {', '.join(f'{by} {emotion}' for by, emotion in voices.items())}"
    if (entry.doubt or 0.0) >= _UNSURE:
        yield "unsure"
    if rarity >= _RARE:
        yield "rare"

"""What is worth labelling: utterances that the model is unsure of, and emotions that are rare."""

import heapq
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from undertone.console.web.access import needs
from undertone.console.web.entries import Entry
from undertone.console.web.hub import Hub
from undertone.console.web.labels import Labels
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.roles import Role

# Of the last so many, some minutes of 200 calls: 10 ms to look through.
_LOOKED_AT = 20_000
_SHOWN = 50
# Who labels is to hear many callers.
_OF_A_CALL = 2
_UNSURE = 0.7
# An emotion is rare where it is said less than a fifth as often as the one that is said most.
_RARE = 0.8
_RARITY = 0.5


class Worth:
    """The address `/api/worth`, for the role label."""

    def __init__(self, hub: Hub, labels: Labels, metrics: ConsoleMetrics) -> None:
        self._hub = hub
        self._labels = labels
        self.routes = [Route("/api/worth", needs(Role.LABEL, self._answer, metrics))]

    async def _answer(self, _request: Request) -> Response:
        found = worth_labelling(self._hub.memory.newest(_LOOKED_AT), self._labels.places())
        data = ",".join(f'{{"why":{json.dumps(why)},"event":{entry.data}}}' for entry, why in found)
        return Response(f"[{data}]", media_type="application/json")


def worth_labelling(entries: Iterable[Entry], labelled: Collection[tuple[int, int]]) -> list[tuple[Entry, list[str]]]:
    """The utterances that a label says most about, with why: the doubt of each, and how rare its emotion is."""
    can_be = [one for one in entries if one.doubt is not None]
    said = Counter(one.label for one in can_be)
    most = max(said.values(), default=1)

    def score(entry: Entry) -> float:
        return (entry.doubt or 0.0) + _RARITY * (1 - said[entry.label] / most)

    new = (one for one in can_be if (one.partition, one.offset) not in labelled)
    # More than are shown, for some calls have many.
    best = heapq.nlargest(10 * _SHOWN, new, key=score)
    return [(one, list(_why(one, 1 - said[one.label] / most))) for one in _of_many_calls(best)][:_SHOWN]


def _of_many_calls(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: Counter[str] = Counter()
    for entry in entries:
        call = entry.stream.partition("/")[0]
        seen[call] += 1
        if seen[call] <= _OF_A_CALL:
            yield entry


def _why(entry: Entry, rarity: float) -> Iterator[str]:
    if (entry.doubt or 0.0) >= _UNSURE:
        yield "unsure"
    if rarity >= _RARE:
        yield "rare"

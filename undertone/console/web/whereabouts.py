"""Where the sound of a call lies in `call-audio`, as its events tell."""

import json
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from undertone.console.web.entries import Entry

# An event's times are shown in whole ms.
_MS = 1


@dataclass(slots=True)
class Whereabouts:
    """One stream. Its samples from `first[n][0]` on lie at the offset `first[n][1]` or later, and those before
    `last[n][0]` at `last[n][1]` or earlier.
    """

    stream: str
    rate: int
    start_ms: int
    partition: int
    first: list[tuple[int, int]] = field(default_factory=list)
    last: list[tuple[int, int]] = field(default_factory=list)
    begun_ms: int = 0
    """By Kafka's clock, its first samples are not older than this."""
    known: int = 0
    """The samples that events speak of: up to here all has come that will come, and no further is it read."""

    def offset_from(self, sample: int) -> int | None:
        """Where to begin to read for samples from this one on; None where no event tells."""
        place = bisect_right(self.first, (sample, -1))
        return self.first[place - 1][1] if place else None

    def offset_to(self, sample: int) -> int:
        """Up to where, this one included, to read for samples before this one."""
        return self.last[min(bisect_right(self.last, (sample, -1)), len(self.last) - 1)][1]


def whereabouts(entries: Iterable[Entry]) -> dict[str, Whereabouts]:
    """Of each channel of a call, from its events in their order; of a stream that began anew, as it is now."""
    found: dict[str, Whereabouts] = {}
    for entry in entries:
        event = json.loads(entry.data)
        if not event["audio"]:
            continue
        partition, first, last = event["audio"]
        rate = event["rate"]
        start_ms = round(event["at"] - 1000 * event["end"])
        here = found.get(event["channel"])
        if here is None or (here.rate, here.partition) != (rate, partition) or abs(here.start_ms - start_ms) > 2 * _MS:
            here = found[event["channel"]] = Whereabouts(entry.stream, rate, start_ms, partition)
            here.begun_ms = min(start_ms, event["moment"] - round(1000 * event["end"]))
        margin = _MS * rate // 1000
        start, end = round(event["start"] * rate), round(event["end"] * rate)
        here.first.append((start + margin, first))
        here.last.append((end - margin, last))
        here.known = max(here.known, end)
    for here in found.values():
        here.first.sort()
        here.last.sort()
    return found

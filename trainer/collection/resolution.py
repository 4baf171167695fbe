"""What counts where several people, or one several times, have labelled the same sound.

Of each person the newest label counts, by the time that it says, or else the one that came later; then the emotion that
most people gave. Where two emotions are given equally often the sound is left out. Labels of the same samples belong
together, whatever call they came in. What somebody has taken back does not count. A label that came when Kafka no
longer had the sound counts where the sound had been kept for another one: a label can be set right after a day, too.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from trainer.collection.dataset import kept
from trainer.collection.entry import Entry, State

DISAGREE = "people disagree"
EXPIRED = "audio has expired"


@dataclass(frozen=True, slots=True)
class Resolved:
    """One sound and what it counts as. `entry` is one of its labels; `votes` of `people` agree."""

    entry: Entry
    emotion: str
    votes: int
    people: int


@dataclass(slots=True)
class Resolution:
    """All sounds that count, in an order that does not depend on when they were collected; what does not, by reason."""

    rows: list[Resolved] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def resolve(entries: Iterable[Entry]) -> Resolution:
    """Apply the rule."""
    found = Resolution()
    everything = list(entries)
    sounds = {_samples(entry): entry.audio for entry in everything if kept(entry)}
    of_sound: dict[str, list[Entry]] = defaultdict(list)
    for entry in _standing(everything):
        if audio := entry.audio if kept(entry) else sounds.get(_samples(entry)):
            of_sound[audio].append(entry.model_copy(update={"audio": audio}))
        elif entry.state is State.EXPIRED:
            found.left_out[EXPIRED] += 1
    for labels in of_sound.values():
        newest: dict[str, str] = {}
        for entry in sorted(labels, key=_age):
            if entry.label:
                newest[entry.label.data.labelled_by] = entry.label.data.emotion
        (emotion, votes), *others = Counter(newest.values()).most_common()
        if others and others[0][1] == votes:
            found.left_out[DISAGREE] += 1
            continue
        found.rows.append(Resolved(min(labels, key=_place), emotion, votes, len(newest)))
    found.rows.sort(key=lambda row: _place(row.entry))
    return found


def _standing(entries: list[Entry]) -> Iterator[Entry]:
    """Without those that say that something is taken back, and what was: by the same person, of the same samples,
    no later. That holds, too, where the sound was gone when it was taken back.
    """
    taken_back: dict[tuple[str, str, int, int], tuple[datetime, datetime, int, int]] = {}
    for entry in entries:
        if entry.label and entry.label.data.withdrawn and (said := _opinion(entry)):
            taken_back[said] = max(_age(entry), taken_back.get(said, _age(entry)))
    for entry in entries:
        if not entry.label or not entry.label.data.withdrawn:
            until = taken_back.get(_opinion(entry) or ("", "", 0, 0))
            if until is None or _age(entry) > until:
                yield entry


def _samples(entry: Entry) -> tuple[str, int, int] | None:
    return (entry.stream, entry.stretch.start, entry.stretch.end) if entry.stretch else None


def _opinion(entry: Entry) -> tuple[str, str, int, int] | None:
    """Who says something of which samples."""
    if not entry.label or not entry.stretch:
        return None
    return entry.label.data.labelled_by, entry.stream, entry.stretch.start, entry.stretch.end


def _age(entry: Entry) -> tuple[datetime, datetime, int, int]:
    said = entry.label.time if entry.label else entry.received
    return said, entry.received, entry.partition, entry.offset


def _place(entry: Entry) -> tuple[str, int, int, int, int]:
    start, end = (entry.stretch.start, entry.stretch.end) if entry.stretch else (0, 0)
    return entry.stream, start, end, entry.partition, entry.offset

"""Compares what a reader saw with what it should have seen, event by event."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.events import EventEnvelope

TOLERANCE = 1e-4
_KEPT = 20  # sentences for people; the numbers count all


@dataclass
class Verdict:
    """What is wrong, as numbers and as the first few sentences."""

    events: int = 0
    lost: int = 0
    repeated: int = 0
    reordered: int = 0  # streams whose events are not in their order
    differing: int = 0  # events that say something else, or that should not be there
    max_probability_difference: float = 0.0
    remarks: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all is as it should be."""
        return not (self.lost or self.repeated or self.reordered or self.differing)

    def remark(self, text: str) -> None:
        """Keep a sentence, if there are not too many."""
        if len(self.remarks) < _KEPT:
            self.remarks.append(text)

    def add(self, other: "Verdict") -> None:
        """Take in the verdict on other streams."""
        for name in ("events", "lost", "repeated", "reordered", "differing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.max_probability_difference = max(self.max_probability_difference, other.max_probability_difference)
        for text in other.remarks:
            self.remark(text)


def by_stream(events: Iterable[EventEnvelope]) -> dict[str, list[EventEnvelope]]:
    """Events by stream, each stream's in the order in which they were read."""
    streams: dict[str, list[EventEnvelope]] = {}
    for event in events:
        streams.setdefault(event.subject, []).append(event)
    return streams


def judge(expected: Mapping[str, Sequence[EventEnvelope]], observed: Mapping[str, Sequence[EventEnvelope]]) -> Verdict:
    """All streams."""
    verdict = Verdict()
    for stream in sorted(expected.keys() | observed.keys()):
        verdict.add(judge_stream(stream, expected.get(stream, ()), observed.get(stream, ())))
    return verdict


def judge_stream(stream: str, expected: Sequence[EventEnvelope], observed: Sequence[EventEnvelope]) -> Verdict:
    """One stream: an event's id says which event it is, its order and its content are compared."""
    verdict = Verdict(events=len(observed))
    wanted = {event.id: event for event in expected}
    seen = Counter(event.id for event in observed)
    for name, event in wanted.items():
        if not seen[name]:
            verdict.lost += 1
            verdict.remark(f"{_name(event)} is lost")
    first: dict[str, EventEnvelope] = {}
    for event in observed:
        if event.id in first:
            verdict.repeated += 1
            verdict.remark(f"{_name(event)} comes again")
            continue
        first[event.id] = event
        if event.id not in wanted:
            verdict.differing += 1
            verdict.remark(f"{_name(event)} should not be there")
        else:
            _compare(wanted[event.id], event, verdict)
    order = [name for name in wanted if name in first]
    if order != [name for name in first if name in wanted]:
        verdict.reordered += 1
        verdict.remark(f"{stream}: its events are out of order")
    return verdict


def _compare(wanted: EventEnvelope, event: EventEnvelope, verdict: Verdict) -> None:
    """Everything is equal, probabilities up to the tolerance; `audio_check` looks at the place of the audio."""
    probabilities, others = wanted.data.probabilities, event.data.probabilities
    difference = max((abs(others.get(name, 2.0) - value) for name, value in probabilities.items()), default=0.0)
    verdict.max_probability_difference = max(verdict.max_probability_difference, difference)
    said, heard = _plain(wanted), _plain(event)
    wrong = [name for name in said if said[name] != heard[name]]
    if difference > TOLERANCE or probabilities.keys() != others.keys():
        wrong.append(f"probabilities by {difference:.6f}")
    if wrong:
        verdict.differing += 1
        verdict.remark(f"{_name(event)} differs in {', '.join(wrong)}")


def _plain(event: EventEnvelope) -> dict[str, object]:
    return {"time": event.time, "type": event.type} | event.data.model_dump(exclude={"audio", "probabilities"})


def _name(event: EventEnvelope) -> str:
    return f"{event.subject}: {event.data.type} {event.data.start_sample}-{event.data.end_sample}"

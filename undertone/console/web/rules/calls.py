"""What rules have to know of a call: who spoke when, and which rules each stretch of speech meets."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.events import EventEnvelope, Relative, Segment, Summary, Update
from undertone.console.web.rules.rule import MOST_S, Rule

_MOST_MS = round(MOST_S * 1000)

Meets = Mapping[int, str]
"""The rules that an event meets, by their numbers, and for each the emotion or group that it was."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of speech on the call's clock, ms, and of its event what an alert says."""

    start_ms: int
    end_ms: int
    meets: Meets
    label: str
    probability: float
    relative: Relative | None
    role: str
    event_id: str
    model_version: str


@dataclass(slots=True)
class Stream:
    """One channel: what it said in the last quarter of an hour. `open` is the utterance that goes on."""

    partition: int
    spans: deque[Span] = field(default_factory=deque)
    open: Span | None = None
    over: bool = False

    def take(self, event: EventEnvelope, meets: Meets) -> None:
        """The next event of this channel."""
        data = event.data
        self.over = isinstance(data, Summary)
        if isinstance(data, Summary):
            self.open = None
            return
        span = _span(event, meets)
        if isinstance(data, Update):
            self.open = span
            return
        self.open = None
        # After a break of the stream the same segment may come again: it takes its own place.
        while self.spans and self.spans[-1].start_ms >= span.start_ms:
            self.spans.pop()
        self.spans.append(span)
        while self.spans[0].end_ms < span.end_ms - _MOST_MS:
            self.spans.popleft()

    def since(self, moment_ms: float) -> Iterator[Span]:
        """What reaches beyond a moment, the newest first."""
        if self.open:
            yield self.open
        for span in reversed(self.spans):
            if span.end_ms <= moment_ms:
                return
            yield span


@dataclass(slots=True)
class Call:
    """One call. `at_ms` is how far it has come on its own clock, `moment_ms` when by Kafka's that was."""

    name: str
    streams: dict[str, Stream] = field(default_factory=dict)
    at_ms: int = 0
    moment_ms: int = 0

    def take(self, event: EventEnvelope, meets: Meets, partition: int, timestamp_ms: int) -> None:
        """The next event of this call."""
        stream = self.streams.setdefault(event.data.channel, Stream(partition))
        stream.take(event, meets)
        self.at_ms = max(self.at_ms, round(event.time.timestamp() * 1000))
        self.moment_ms = max(self.moment_ms, timestamp_ms)

    @property
    def over(self) -> bool:
        """Whether all channels that are known have ended."""
        return all(stream.over for stream in self.streams.values())

    @property
    def spoken_ms(self) -> int:
        """Up to when somebody spoke; 0 where nobody has."""
        newest = (stream.open or (stream.spans[-1] if stream.spans else None) for stream in self.streams.values())
        return max((span.end_ms for span in newest if span), default=0)


def met_by(rules: Sequence[Rule], data: Update | Segment | Summary) -> Meets:
    """The rules about speech that an event meets; how long is not looked at."""
    if isinstance(data, Summary):
        return {}
    found = {number: _meets(rule, data) for number, rule in enumerate(rules) if rule.speech}
    return {number: word for number, word in found.items() if word is not None}


def _meets(rule: Rule, data: Update | Segment) -> str | None:
    """None where it does not meet a rule, else the emotion or group that the rule asks for."""
    if rule.role and data.role != rule.role:
        return None
    if rule.emotion and sum(data.probabilities.get(name, 0.0) for name in rule.emotion) < rule.least:
        return None
    if rule.group and (data.groups or {}).get(rule.group, 0.0) < rule.least:
        return None
    for name, asked in (rule.shift.asked if rule.shift else {}).items():
        value = getattr(data.relative, name, None)
        if value is None or (value < asked if asked > 0 else value > asked):
            return None
    return max(rule.emotion, key=lambda name: data.probabilities.get(name, 0.0), default=rule.group or "")


def _span(event: EventEnvelope, meets: Meets) -> Span:
    data = event.data
    end_ms = round(event.time.timestamp() * 1000)
    return Span(
        start_ms=end_ms - (data.end_sample - data.start_sample) * 1000 // data.sample_rate,
        end_ms=end_ms,
        meets=meets,
        label=data.label,
        probability=max(data.probabilities.values(), default=0.0),
        relative=data.relative,
        role=data.role.value,
        event_id=event.id,
        model_version=data.model_version,
    )

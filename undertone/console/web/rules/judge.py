"""Whether a call meets a rule now. Times are ms on the call's own clock."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from undertone.console.web.rules.calls import Call, Span, Stream
from undertone.console.web.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Met:
    """A rule is met, since when, and why in words. `channel` is empty where it is about the whole call."""

    rule: str
    channel: str
    since_ms: int
    moment_ms: int
    reason: str
    newest: Span | None = None


def judge(rule: Rule, number: int, call: Call, now_ms: float) -> Iterator[Met]:
    """How a call meets a rule: for rules about speech once for each channel at most."""
    if call.over or not call.name.startswith(rule.calls):
        return
    if rule.silence is not None:
        met = _silence(rule, call, now_ms)
    elif rule.overlap is not None:
        met = _overlap(rule, call, now_ms)
    else:
        for channel, stream in call.streams.items():
            if found := _speech(rule, number, channel, stream, now_ms):
                yield found
        return
    if met:
        yield met


def _silence(rule: Rule, call: Call, now_ms: float) -> Met | None:
    lasts_ms = round(1000 * (rule.silence or 0))
    spoken_ms = call.spoken_ms
    if not spoken_ms or now_ms - spoken_ms < lasts_ms:
        return None
    # When it came to be so, not when somebody looked: it is the same however often a console is started anew.
    return Met(rule.name, "", spoken_ms, spoken_ms + lasts_ms, f"nobody has spoken for {rule.silence:g} s")


def _overlap(rule: Rule, call: Call, now_ms: float) -> Met | None:
    from_ms = now_ms - 1000 * rule.window
    both = [
        (max(one.start_ms, other.start_ms), max(one.start_ms, other.start_ms, from_ms), min(one.end_ms, other.end_ms))
        for first, second in combinations(call.streams.values(), 2)
        for one in first.since(from_ms)
        for other in second.since(max(from_ms, one.start_ms))
        if max(one.start_ms, other.start_ms) < min(one.end_ms, other.end_ms)
    ]
    seconds = sum(end - start for _, start, end in both) / 1000
    if not both or seconds < (rule.overlap or 0):
        return None
    since_ms = min(began for began, _, _ in both)
    return Met(rule.name, "", since_ms, call.at_ms, f"both talked for {seconds:.0f} s")


def _speech(rule: Rule, number: int, channel: str, stream: Stream, now_ms: float) -> Met | None:
    from_ms = now_ms - 1000 * rule.window
    spans = [span for span in stream.since(from_ms) if number in span.meets]
    seconds = sum(span.end_ms - max(span.start_ms, from_ms) for span in spans) / 1000
    if not spans or stream.over or seconds < rule.lasts:
        return None
    lasts = f" for {seconds:.0f} s" if rule.lasts else ""
    why = f"{_sounds(rule, number, spans)}{lasts}"
    return Met(rule.name, channel, spans[-1].start_ms, spans[0].end_ms, why, spans[0])


def _sounds(rule: Rule, number: int, spans: Sequence[Span]) -> str:
    """What it was, by time, and how far the newest of it is from the caller's normal."""
    heard = Counter[str]()
    for span in spans:
        heard[span.meets[number]] += span.end_ms - span.start_ms
    words = [name for name, _ in heard.most_common(1) if name]
    if rule.shift:
        relative = spans[0].relative
        words += [f"{name} {getattr(relative, name):+.1f} from their normal" for name in rule.shift.asked]
    return ", ".join(words)

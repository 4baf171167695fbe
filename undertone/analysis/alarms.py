"""Alarms: when somebody would be called to a call, how soon after it has begun, and how often for nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.card import ModelCard
from schemas.events import Segment, Summary, Update
from undertone.acoustics.frames import HOPS_PER_SECOND
from undertone.analysis import prediction
from undertone.analysis.evaluate import UTTERANCES_HEARD, heard_before
from undertone.analysis.manifest import read_calls
from undertone.inference.affect import GROUPS, Affect
from undertone.inference.class_prior import moved_prior
from undertone.inference.model import Model

# How long somebody may have spoken before the alarm goes off.
WITHIN_S = 3.0
# So long after it has gone off, it does not in the same stream.
AGAIN_S = 60.0
# What people in calls mostly are: an alarm then is a false one.
QUIET = frozenset(GROUPS["neutral"])


@dataclass(frozen=True, slots=True)
class Alarm:
    """What an event must say, as a rule of the console asks for it: `emotion`, `probability`, `shift` and `for`.

    labels: their probabilities are added. least: from there on; None: the event's label is one of them. shift: by
    measure, how far above the caller's own normal at the least, in their standard deviations. lasts_s: how long the
    utterance is by then.
    """

    labels: frozenset[str]
    least: float | None = None
    shift: Mapping[str, float] = field(default_factory=dict)
    lasts_s: float = 0.0

    def known_to(self, card: ModelCard) -> bool:
        """Whether a model's events can say it: one without places has no arousal."""
        can = "arousal" not in self.shift or Affect(card).has_places
        return can and bool(self.labels & set(card.labels))

    def met_by(self, event: Update | Segment) -> bool:
        """Whether an event says it."""
        if event.end_sample - event.start_sample < self.lasts_s * event.sample_rate:
            return False
        if self.least is None:
            return event.label in self.labels
        if sum(event.probabilities.get(label, 0.0) for label in self.labels) < self.least:
            return False
        return all((getattr(event.relative, name, None) or 0.0) >= asked for name, asked in self.shift.items())


# Anger: as it was measured (docs/research/experiments.md, "An alarm of anger"). The label alone finds less, and goes
# off where a call begins, when nobody's normal is known.
ALARMS = {
    "anger": Alarm(frozenset({"angry"}), least=0.15, shift={"level": 0.5, "arousal": 0.5}, lasts_s=1.0),
    "distress": Alarm(frozenset({"fearful", "sad"})),
}


class Watch:
    """The alarms of streams. One goes off when an event comes to meet it, and not again for a minute."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], bool] = defaultdict(bool)
        self._last_s: dict[tuple[str, str], float] = defaultdict(lambda: -AGAIN_S)

    def take(self, stream: str, event: Update | Segment) -> list[str]:
        """The alarms that go off with this event."""
        off, now_s = [], event.end_sample / event.sample_rate
        for name, alarm in ALARMS.items():
            met, before = alarm.met_by(event), self._met[stream, name]
            self._met[stream, name] = met
            if met and not before and now_s - self._last_s[stream, name] >= AGAIN_S:
                self._last_s[stream, name] = now_s
                off.append(name)
        return off


@dataclass(frozen=True, slots=True)
class AngerInCalls:
    """What the alarm of anger makes of labelled files in calls.

    found_within_3_s: the share of angry files in which it is met within 3 s of their first speech, by how many
    utterances of the call had been heard before, grouped as `after_utterances` does; n_angry: how many files there are.
    false_alarms_per_hour: alarms that go off in neutral and calm files, by the time of these, `quiet_hours`.
    met_by_label: the same share as above of the files of each label, after ten utterances or more.
    """

    found_within_3_s: dict[str, float | None]
    n_angry: dict[str, int]
    false_alarms_per_hour: float | None
    quiet_hours: float
    met_by_label: dict[str, float]
    class_prior: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        return asdict(self)


@dataclass
class _File:
    """A labelled file of a call: what was heard before, and what the alarm did in it."""

    emotion: str
    seconds: float = 0.0
    heard: int = 0
    began_s: float | None = None
    met: bool = False
    alarms: int = 0


class AngerCount:
    """Counts what the alarm of anger makes of calls that are heard for other figures, too.

    They are heard with an update for each block, and labels may be expected otherwise than workers expect them. Of an
    event a class prior changes the probabilities alone, and they can be moved; updates that a worker would not give are
    passed over. A second hearing took as long as the first.
    """

    def __init__(self, manifest: Path, model: Model, heard: Model) -> None:
        """Count in the calls of `manifest` what `model` would find, whose network `heard` has with another prior.

        Raises:
            UserError: the manifest is unusable.
        """
        self._calls = [call.rows for call in read_calls(manifest)]
        self._model, self._prior, self._heard_under = model, model.class_prior, heard.class_prior
        self._open: dict[int, list[_File]] = {}
        self._files: list[_File] = []
        self._watch = Watch()

    def take(self, call: prediction.Call, event: Update | Segment | Summary) -> None:
        """Follow one event of a call."""
        begun = self._open.setdefault(call.number, [_File(row.emotion) for row in self._calls[call.number]])
        if isinstance(event, Summary):
            self._files += _ended(self._open.pop(call.number), call, event)
            return
        segments = self._model.card.segments
        if isinstance(event, Update) and event.end_sample % (event.sample_rate * segments.update_ms // 1000):
            return
        moved = moved_prior(event.probabilities, self._heard_under, self._prior)
        self._count(begun[call.file_of(event)], call, event.model_copy(update={"probabilities": moved}))

    def _count(self, one: _File, call: prediction.Call, event: Update | Segment) -> None:
        start_s, end_s = event.start_sample / event.sample_rate, event.end_sample / event.sample_rate
        one.began_s = start_s if one.began_s is None else one.began_s
        # A segment is known when the silence behind it is.
        gap_s = self._model.card.segments.gap_frames / HOPS_PER_SECOND
        known_s = end_s + (gap_s if isinstance(event, Segment) else 0.0)
        one.met |= ALARMS["anger"].met_by(event) and known_s - one.began_s <= WITHIN_S
        one.alarms += "anger" in self._watch.take(str(call.number), event)

    def result(self) -> AngerInCalls:
        """The figures of the calls that have ended."""
        return _figures(self._files, self._prior)


def _ended(files: list[_File], call: prediction.Call, summary: Summary) -> list[_File]:
    """A call's files that can be counted, each with its seconds and how many with speech came before it."""
    ends = [*call.starts[1:], summary.end_sample]
    heard, found = 0, []
    for number, one in enumerate(files):
        if number in call.unreadable:
            continue
        one.heard, one.seconds = heard, (ends[number] - call.starts[number]) / summary.sample_rate
        heard += one.began_s is not None
        if one.emotion:
            found.append(one)
    return found


def _figures(files: Sequence[_File], class_prior: dict[str, float]) -> AngerInCalls:
    angry = [one for one in files if one.emotion in ALARMS["anger"].labels]
    groups = {str(least): [one for one in angry if least <= one.heard < below] for least, below in heard_before()}
    quiet = [one for one in files if one.emotion in QUIET]
    hours = sum(one.seconds for one in quiet) / 3600
    late = [one for one in files if one.heard >= UTTERANCES_HEARD[-1]]
    return AngerInCalls(
        found_within_3_s={heard: _share(group) for heard, group in groups.items()},
        n_angry={heard: len(group) for heard, group in groups.items()},
        false_alarms_per_hour=sum(one.alarms for one in quiet) / hours if hours else None,
        quiet_hours=hours,
        met_by_label={
            label: _share([one for one in late if one.emotion == label]) or 0.0
            for label in sorted({one.emotion for one in late})
        },
        class_prior=class_prior,
    )


def _share(files: Sequence[_File]) -> float | None:
    return sum(one.met for one in files) / len(files) if files else None

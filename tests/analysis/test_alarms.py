"""Alarms: when one goes off, and what the alarm of anger finds in labelled files of calls."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from schemas.events import Relative, Segment, Summary, Update
from tests.support.manifests import manifest
from tests.support.paths import ROOT, SAMPLES
from undertone.analysis.alarms import AGAIN_S, ALARMS, Alarm, AngerCount, AngerInCalls
from undertone.analysis.evaluate import evaluate
from undertone.analysis.prediction import Band, hear
from undertone.analysis.unlabelled import Tally
from undertone.console.web.rules.file import read_rules
from undertone.inference.call_stream import CallStream
from undertone.inference.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


def events_of(model: Model) -> tuple[Segment, Summary]:
    """A segment to change, and a summary."""
    stream = CallStream(model, 8000)
    noise = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    events = [event.data for event in [*stream.feed(noise), *stream.end()]]
    segment, summary = (next(event for event in events if event.type == kind) for kind in ("segment", "summary"))
    assert isinstance(segment, Segment)
    assert isinstance(summary, Summary)
    return segment, summary


def said(
    segment: Segment, at_s: float, label: str, angry: float = 0.0, lasts_s: float = 2.0, level: float | None = 1.0
) -> Segment:
    """An utterance that ends then, as far from the caller's normal in level as in arousal."""
    end = round(8000 * at_s)
    return segment.model_copy(
        update={
            "start_sample": end - round(8000 * lasts_s),
            "end_sample": end,
            "label": label,
            "speech_s": 6.0,
            "probabilities": segment.probabilities | {"angry": angry},
            "relative": Relative(level=level, pitch=0.0, arousal=level),
        }
    )


def test_an_alarm_goes_off_when_it_comes_to_be_met_and_not_again_for_a_minute(model: Model) -> None:
    segment, summary = events_of(model)
    tally = Tally()
    labels = ("angry", "angry", "neutral", "angry", "sad", "fearful", "uncertain", "sad", "uncertain", "sad")
    for number, label in enumerate(labels):
        at_s = 10 + 20 * number
        tally.count("call", said(segment, at_s, label, angry=0.4 if label == "angry" else 0.0))
    tally.count("call", summary.model_copy(update={"start_sample": 0, "end_sample": 8000 * 360}))
    figures = tally.all.figures(["angry", "sad"])
    # Anger at 10 s and at 70 s; distress at 90 s, at 150 s (a minute later) and not at 190 s.
    assert figures["false_alarms_per_hour"] == {"anger": 20.0, "distress": 20.0}
    assert figures["label_flips_per_minute"] == pytest.approx(8 * 60 / 60)
    assert figures["share"] == {"angry": pytest.approx(3 / 10), "sad": pytest.approx(3 / 10)}


def test_an_alarm_of_anger_knows_what_is_usual_of_the_caller(model: Model) -> None:
    segment, _ = events_of(model)
    anger = ALARMS["anger"]
    assert anger.met_by(said(segment, 10, "uncertain", angry=0.15, lasts_s=1.0, level=0.5))
    for short in ({"angry": 0.14}, {"lasts_s": 0.9}, {"level": 0.4}, {"level": None}):
        asked = {"angry": 0.9, "lasts_s": 2.0, "level": 2.0} | short
        assert not anger.met_by(said(segment, 10, "angry", **asked)), short


def test_the_rule_that_is_documented_is_the_alarm_that_is_counted(tmp_path: Path, model: Model) -> None:
    page = (ROOT / "docs" / "reference" / "rules.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, flags=re.M | re.S)
    (tmp_path / "rules.yml").write_text(text)
    (rule,) = (one for one in read_rules(tmp_path / "rules.yml").rules if one.name == "angry caller")
    anger = ALARMS["anger"]
    assert (frozenset(rule.emotion), rule.least, rule.lasts) == (anger.labels, anger.least, anger.lasts_s)
    assert rule.shift
    assert (rule.shift.asked, rule.again) == (anger.shift, AGAIN_S)


def anger_in_calls(file: Path, model: Model) -> AngerInCalls:
    """What is counted beside the figures of labelled files, for which labels are expected equally often."""
    heard = model.with_prior("uniform")
    count = AngerCount(file, model, heard)
    evaluate(file, heard, calls=True, also=count.take)
    return count.result()


def test_anger_is_counted_by_what_was_heard_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of angry files those where the alarm is met within 3 s, of quiet ones the alarms by their time."""
    model = Model.load()
    # Whoever is a little angry, and known: on samples of one synthetic voice nothing is louder than usual.
    monkeypatch.setitem(ALARMS, "anger", Alarm(frozenset({"angry"}), least=0.3, shift={"level": -9.0}))
    rows = [f"calm.flac,{'calm' if n == 9 else ''},ann,one,{n}" for n in range(10)] + ["angry.flac,angry,ann,one,10"]
    found = anger_in_calls(manifest(tmp_path, *rows, "angry.flac,angry,bob,two,1"), model)
    assert found.n_angry == {"0": 1, "3": 0, "10": 1}
    assert found.found_within_3_s == {"0": 1.0, "3": None, "10": 1.0}
    assert found.false_alarms_per_hour == 0
    assert found.quiet_hours == pytest.approx((soundfile.info(SAMPLES / "calm.flac").duration + 1) / 3600, rel=1e-3)
    assert found.met_by_label == {"angry": 1.0}
    assert found.class_prior == pytest.approx(model.class_prior)


def test_anger_is_counted_in_the_events_that_a_worker_gives(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the calls are heard under another class prior, with an update for each block."""
    judged: list[Update | Segment] = []

    class Seen(Alarm):
        def met_by(self, event: Update | Segment) -> bool:
            judged.append(event)
            return False

    monkeypatch.setattr("undertone.analysis.alarms.ALARMS", {"anger": Seen(frozenset({"angry"}))})
    anger_in_calls(manifest(tmp_path, "calm.flac,calm,ann,one,0", "angry.flac,angry,ann,one,1"), model)
    heard = hear([[tmp_path / "calm.flac", tmp_path / "angry.flac"]], model, Band.CLEAN)
    given = [event for _, event in heard if not isinstance(event, Summary)]
    # The files' own count asks, and then the watch over their stream.
    for mine, worker in zip(judged[::2], given, strict=True):
        assert (mine.type, mine.start_sample, mine.end_sample) == (worker.type, worker.start_sample, worker.end_sample)
        assert mine.relative == worker.relative
        assert mine.probabilities == pytest.approx(worker.probabilities, abs=1e-5)


def test_a_model_without_arousal_gives_no_alarm_of_anger(model: Model) -> None:
    assert ALARMS["anger"].known_to(model.card)
    assert not ALARMS["anger"].known_to(model.card.model_copy(update={"affect": {}}))

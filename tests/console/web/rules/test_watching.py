"""What rules find in events, and what a restart changes about it: nothing."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.events import EventEnvelope, Relative
from tests.console.web.rules.test_file import example
from tests.console.web.rules.watched import Console, Log
from tests.support.console import Speaker

ANGRY = """
rules:
- name: angry
  emotion: angry
  probability: 0.6
  for: 5 s
  within: 20 s
  role: customer
"""


def speaker(call: str, channel: str = "customer") -> Speaker:
    """One that began at a whole second: alerts tell moments in ms."""
    found = Speaker(call, channel, began_s=200)
    found.began = found.began.replace(microsecond=0)
    return found


def utterance(who: Speaker, start_s: float, end_s: float, label: str, **more: Any) -> Iterator[EventEnvelope]:
    """An utterance as a worker tells it: an update each half second, then the segment."""
    for half in range(1, int(2 * (end_s - start_s)) + 1):
        yield who.event("update", start_s, start_s + half / 2, label, **more)
    yield who.event("segment", start_s, end_s, label, **more)


def heard(log: Log, tmp_path: Path, text: str) -> Console:
    """A console that was there from the start."""
    console = Console(Log(len(log.records)), tmp_path, text).begin()
    console.kill()
    return Console(log, tmp_path, text).begin().read()


def test_speech_counts_by_probability_time_and_role(tmp_path: Path) -> None:
    log, anna, agent = Log(), speaker("call-1"), speaker("call-1", "agent")
    for event in (
        *utterance(anna, 1, 4, "angry", probability=0.7),
        *utterance(agent, 4, 14, "angry", probability=0.9),
        *utterance(anna, 14, 16, "angry", probability=0.5),
        *utterance(anna, 17, 18.5, "angry", probability=0.9),
    ):
        log.put(event)
    assert heard(log, tmp_path, ANGRY).alerts == []
    for event in utterance(anna, 19, 22, "angry", probability=0.9):
        log.put(event)
    console = Console(log, tmp_path, ANGRY).begin().read()
    (alert,) = console.alerts
    data = alert["data"]
    # 3 s and 1.5 s before, and the first half second of the third.
    assert alert["subject"] == "call-1/customer"
    assert (data["label"], data["probability"], data["role"], data["reason"]) == (
        "angry",
        0.9,
        "customer",
        "angry for 5 s",
    )
    assert alert["time"] == anna.event("update", 19, 19.5).time.isoformat(timespec="milliseconds")


def test_a_shift_from_the_callers_normal_goes_up_or_down(tmp_path: Path) -> None:
    text = "rules:\n- name: loud\n  shift: {level: 2}\n- name: low\n  shift: {pitch: -1, arousal: -1}\n  for: 2 s\n"
    log, anna = Log(), speaker("call-1")
    for start_s, relative in ((1, Relative(level=1.9, pitch=-1.2)), (5, Relative(level=-3, pitch=-1, arousal=-1.5))):
        for event in utterance(anna, start_s, start_s + 3, "neutral", relative=relative):
            log.put(event)
    log.put(anna.event("segment", 10, 11, "neutral"))
    console = heard(log, tmp_path, text)
    assert console.told == [
        ("low", "call-1/customer", "pitch -1.0 from their normal, arousal -1.5 from their normal for 2 s")
    ]
    log.put(anna.event("update", 12, 13, "neutral", relative=Relative(level=2)))
    console = Console(log, tmp_path, text).begin().read()
    assert console.told[1:] == [("loud", "call-1/customer", "level +2.0 from their normal")]


def test_silence_is_found_by_the_events_around_it(tmp_path: Path) -> None:
    """Also by a console that was away meanwhile, which reads both sides of it at once."""
    text = "rules:\n- name: dead air\n  silence: 10 s\n  calls: sales-\n"
    log, anna, other = Log(), speaker("sales-1"), speaker("help-1")
    for start_s in (1, 8, 30):
        for one in (anna, other):
            log.put(one.event("segment", start_s, start_s + 2))
    console = Console(Log(), tmp_path, text).begin()
    console.kill()
    console = Console(log, tmp_path, text).begin().read(at_once=100)
    (alert,) = console.alerts
    assert alert["data"]["reason"] == "nobody has spoken for 10 s"
    assert alert["time"] == anna.event("segment", 8, 20).time.isoformat(timespec="milliseconds")
    assert alert["data"]["since"] == anna.event("segment", 8, 10).time.isoformat(timespec="milliseconds")


def test_silence_goes_on_by_the_clock_until_somebody_speaks(tmp_path: Path) -> None:
    log, anna = Log(), speaker("call-1")
    log.put(anna.event("segment", 168, 170))
    console = heard(log, tmp_path, "rules:\n- name: dead air\n  silence: 15 s\n")
    assert console.alerts == []
    log.now_s = time.time()
    console.read(live=True)
    assert list(console.met) == [("dead air", "call-1", "")]
    log.put(anna.event("update", 199, 200))
    console.read()
    assert console.met == {}
    assert len(console.alerts) == 1


def test_two_who_talk_at_once(tmp_path: Path) -> None:
    log, anna, agent = Log(2), speaker("call-1"), speaker("call-1", "agent")
    log.put(anna.event("segment", 1, 10), 0)
    log.put(agent.event("segment", 8, 9.5), 1)
    text = "rules:\n- name: both\n  overlap: 3 s\n  within: 20 s\n"
    console = heard(log, tmp_path, text)
    assert console.alerts == []
    log.put(agent.event("update", 11, 16), 1)
    log.put(anna.event("update", 14.5, 16.5), 0)
    assert console.read().told == [("both", "call-1", "both talked for 3 s")]


def test_it_is_said_again_only_after_it_has_ceased(tmp_path: Path) -> None:
    text = "rules:\n- name: sad\n  emotion: sad\n  within: 5 s\n  again: 20 s\n"
    log, anna = Log(), speaker("call-1")
    # Sad from 1 to 4, from 12 (too soon to be said again, until 22) to 24, and at 60.
    for start_s, end_s in ((1, 4), (12, 24), (60, 62)):
        for event in utterance(anna, start_s, end_s, "sad"):
            log.put(event)
        log.put(anna.event("segment", end_s + 1, end_s + 7, "happy"))
    said = [alert["time"] for alert in heard(log, tmp_path, text).alerts]
    ends = (1.5, 21.5, 60.5)
    assert said == [anna.event("update", 0, end).time.isoformat(timespec="milliseconds") for end in ends]


def test_a_restart_anywhere_changes_no_alert(tmp_path: Path) -> None:
    """A console that is killed behind each record finds what one that runs through finds, under the same ids."""
    anna, agent, whole = speaker("call-1"), speaker("call-1", "agent"), Log(2)
    for start_s in (1, 20, 90):
        for event in utterance(anna, start_s, start_s + 8, "angry", probability=0.9):
            whole.put(event, 0)
        for event in utterance(agent, start_s + 4, start_s + 9, "sad"):
            whole.put(event, 1)
    text = f"{ANGRY}- name: both\n  overlap: 3 s\n- name: dead air\n  silence: 12 s\n"
    folders = [tmp_path / "through", tmp_path / "killed"]
    log = Log(2)
    for folder in folders:
        folder.mkdir()
    through, killed = (Console(log, folder, text).begin() for folder in folders)
    for record in sorted((r for part in whole.records for r in part), key=lambda r: (r.timestamp, r.partition)):
        log.records[record.partition].append(record)
        through.read()
        # Behind every third, in either partition and in the middle of each condition: some 40 restarts.
        if record.offset % 3 == 0:
            killed.kill()
            killed = Console(log, folders[1], text).begin()
        assert killed.read().met == through.met
    assert Counter(rule for rule, *_ in through.told) == {"angry": 2, "both": 2, "dead air": 1}
    assert [alert["id"] for alert in killed.alerts] == [alert["id"] for alert in through.alerts]


def test_what_came_before_the_first_start_is_no_alert_but_goes_on(tmp_path: Path) -> None:
    log, anna = Log(), speaker("call-1")
    for event in utterance(anna, 1, 10, "angry", probability=0.9):
        log.put(event)
    console = Console(log, tmp_path, ANGRY).begin().read()
    assert console.alerts == []
    log.put(anna.event("update", 11, 11.5, "angry", probability=0.9))
    assert [rule for rule, *_ in console.read().told] == ["angry"]


def test_another_topic_of_the_name_and_a_rule_that_is_gone(tmp_path: Path) -> None:
    log, anna = Log(), speaker("call-1")
    for event in utterance(anna, 1, 10, "angry", probability=0.9):
        log.put(event)
    console = heard(log, tmp_path, ANGRY)
    assert len(console.met) == 1
    console.kill()
    console = Console(log, tmp_path, "rules:\n- name: other\n  silence: 5 m\n").begin()
    assert console.met == {}
    assert len(console.alerts) == 1
    console.store.forget("call-1", 2**62)
    assert console.alerts == []


def test_the_example_finds_what_it_says(tmp_path: Path) -> None:
    log = Log(2)
    anna, agent, loud = speaker("sales-1"), speaker("sales-1", "agent"), speaker("call-2")
    louder = Relative(level=0.9, pitch=0, arousal=1.2)
    for event in utterance(anna, 1, 9, "angry", probability=0.9, relative=louder):
        log.put(event, 0)
    for event in utterance(agent, 4, 8.5, "neutral"):
        log.put(event, 1)
    log.put(anna.event("segment", 35, 36), 0)
    shifted = Relative(level=1.6, pitch=0, arousal=2.5)
    groups = {"negative": 0.7, "neutral": 0.3, "positive": 0.0}
    for event in utterance(loud, 1, 6, "sad", relative=shifted, groups=groups):
        log.put(event, 1)
    console = heard(log, tmp_path, example())
    assert sorted((rule, subject) for rule, subject, _ in console.told) == [
        ("angry caller", "sales-1/customer"),
        ("both at once", "sales-1"),
        ("dead air in sales", "sales-1"),
        ("displeased and louder than usual", "call-2/customer"),
        ("much stirred", "call-2/customer"),
    ]
    states = {alert.rule: alert.state for alert in console.store.newest(10)}
    assert states.pop("much stirred") == "none"
    assert set(states.values()) == {"waiting"}

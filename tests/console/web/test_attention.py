"""Which calls need attention: the page's own code, run by Node."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

NODE = shutil.which("node")
PAGE = ROOT / "undertone/console/web/page"
SIDES = {"angry": ("negative", -0.6), "sad": ("negative", -0.6), "happy": ("positive", 0.6)}
pytestmark = pytest.mark.skipif(NODE is None, reason="no node here: apt-get install nodejs")


def event(kind: str, start: float, end: float, label: str, probability: float = 0.8, channel: str = "customer") -> Any:
    """An event as the page gets it; the call's clock is Kafka's, in seconds from 1000 on."""
    group, valence = SIDES.get(label, ("neutral", 0.0))
    return {
        "type": kind, "call": "a", "channel": channel, "role": channel, "start": start, "end": end,
        "at": (1000 + end) * 1000, "moment": (1000 + end) * 1000, "label": label, "group": group,
        "top": [[label, probability]], "speech": end - start, "level": -20, "arousal": 0, "valence": valence,
        "relative": None,
    }  # fmt: skip


def weighed(*cases: tuple[float, Sequence[Any]]) -> list[list[str]]:
    """The reasons of each case: a call's events, looked at at a second of it."""
    given = json.dumps([{"clock": (1000 + second) * 1000, "events": events} for second, events in cases])
    script = Path(__file__).with_name("attention.mjs")
    done = subprocess.run(
        [str(NODE), str(script), str(PAGE)], input=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [reasons for reasons, _ in json.loads(done.stdout)]


def test_a_calm_call_needs_nobody() -> None:
    calm = [event("segment", 0, 8, "calm"), event("segment", 9, 12, "angry"), event("update", 13, 20, "neutral")]
    assert weighed((20, calm)) == [[]]


def test_displeasure_counts_once_it_lasts_and_is_more_than_a_guess() -> None:
    lasting = [event("segment", 0, 4, "angry"), event("update", 5, 8, "sad")]
    guessed = [event("segment", 0, 4, "angry", 0.35), event("update", 5, 8, "sad", 0.35)]
    unsure = [event("segment", 0, 8, "angry") | {"label": "uncertain", "group": "uncertain"}]
    assert weighed((8, lasting), (8, guessed), (8, unsure)) == [["angry for 7 s"], [], []]


def test_what_is_long_over_counts_no_more() -> None:
    events = [event("segment", 0, 10, "angry"), event("segment", 35, 50, "neutral")]
    assert weighed((50, events)) == [[]]


def test_a_turn_for_the_worse_is_seen() -> None:
    events = [event("segment", 0, 12, "happy"), event("segment", 20, 25, "sad")]
    assert weighed((30, events)) == [["turned for the worse"]]


def test_both_talking_names_no_channel_and_anger_does() -> None:
    events = [
        event("segment", 0, 8, "neutral"),
        event("segment", 2, 9, "angry", channel="agent"),
    ]
    assert weighed((10, events)) == [["angry for 7 s (agent)", "both talking"]]


def test_silence_is_told_until_the_call_is_over() -> None:
    events = [event("segment", 0, 3, "neutral")]
    over = [*events, event("summary", 0, 3, "neutral")]
    assert weighed((15, events), (30, events), (30, over)) == [[], ["silent for 27 s"], []]


def test_a_segment_takes_the_place_of_its_updates_and_of_itself() -> None:
    events = [event("update", 0, 5, "angry"), event("segment", 0, 7, "calm"), event("segment", 0, 7, "calm")]
    assert weighed((8, events)) == [[]]


def test_what_would_be_no_percent_is_not_told() -> None:
    script = f"""
    const {{ besideWords }} = await import({json.dumps((PAGE / "words.js").as_uri())});
    console.log(besideWords([["calm", 0.12], ["happy", 0.004], ["sad", 0.005]]));"""
    command = [str(NODE), "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "calm 12 %, sad 1 %\n"

"""What is worth labelling: the doubtful and the rare, of many calls, and nothing twice."""

from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.console.web.labelled import on_the_topic
from tests.support.browser import CHROMIUM, browsing
from tests.support.console import RATE, Speaker, publish
from undertone.console.web.entries import Entry
from undertone.console.web.worth import worth_labelling
from undertone.messaging.settings import KafkaSettings


def utterance(offset: int, call: str, label: str, doubt: float | None) -> Entry:
    return Entry(0, offset, f"{call}/customer", False, 0, str(offset), "segment", (), label, doubt)


def test_the_doubtful_and_the_rare_come_first_of_many_calls() -> None:
    plain = [utterance(number, f"c{number}", "neutral", 0.1) for number in range(20)]
    rare, unsure = utterance(100, "c100", "fearful", 0.3), utterance(101, "c101", "neutral", 0.95)
    both = utterance(102, "c102", "disgust", 0.9)
    much = [utterance(200 + number, "c200", "neutral", 0.8) for number in range(5)]
    no_utterance = utterance(300, "c300", "neutral", None)
    disputed = utterance(400, "c400", "neutral", 0.1)
    voices = {(0, 0): {"Ann": "sad"}, (0, 101): {"Ben": "sad", "Ann": "sad"}, (0, 400): {"Ann": "sad", "Ben": "calm"}}
    can_be = [*plain, rare, unsure, both, *much, no_utterance, disputed]
    first, *found = worth_labelling(can_be, voices, "Cid")
    assert (first[0].offset, first[1]) == (400, ["disagreeing: Ann sad, Ben calm"])
    # Who has said something of it is not asked again.
    assert [one.offset for one, _ in worth_labelling(can_be, voices, "Ann")] == [one.offset for one, _ in found]
    assert [(one.offset, why) for one, why in found[:4]] == [
        (102, ["unsure", "rare"]), (200, ["unsure"]), (201, ["unsure"]), (100, ["rare"]),
    ]  # fmt: skip
    offsets = {one.offset for one, _ in found}
    assert offsets.isdisjoint({0, 101, 202, 203, 204, 300})
    assert len(found) == 19 + 2 + 2
    assert worth_labelling([], {}, "Ann") == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_person_labels_one_after_the_other(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    lies = {"topic": topics.call_audio.name, "partition": 0, "first_offset": 0, "last_offset": 9}
    publish(
        kafka_settings,
        topics.emotion_events.name,
        [
            Speaker("call-1").event("segment", 1, 4, "uncertain", 0.51, audio=lies),
            Speaker("call-2").event("segment", 1, 5, "uncertain", 0.6, audio=lies),
            Speaker("call-3").event("segment", 1, 6, "neutral", 0.99, audio=lies),
            Speaker("call-4").event("segment", 1, 1.5, "uncertain", 0.5, audio=lies),
        ],
    )
    rows = "document.querySelectorAll('#events tr').length"
    chosen = "document.querySelector('tr.chosen')?.innerText"
    with browsing(tmp_path / "profile") as page:
        url = start_console().url
        page.open(url)
        page.wait("document.querySelectorAll('.row').length === 4")
        page.wait("document.querySelector('nav').innerText.includes('Worth')")
        page.open(f"{url}/worth")
        page.wait(f"{rows} === 3")
        page.key("ArrowDown")
        page.wait(f"{chosen}.includes('call-1 customer')")
        page.key("2")
        page.wait(f"{chosen}.includes('call-2 customer')")
        page.wait("document.querySelector('#events tr').innerText.includes('says console')")
        (label,) = [label.data for _, label in on_the_topic(kafka_settings, topics)]
        assert (label.call_id, label.emotion, label.end_sample) == ("call-1", "neutral", 4 * RATE)
        page.run("document.getElementById('again').click()")
        page.wait(f"{rows} === 2")
        for width, dark in ((1280, False), (1280, True), (390, False)):
            page.size(width, 900, dark=dark)
            assert page.barriers() == []
            page.picture(tmp_path / f"worth-{width}-{dark}.png")
        assert page.problems == []

"""A call's page in a real headless Chromium: its sound is played, and what it sounds like goes to Kafka."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.console.web.labelled import on_the_topic
from tests.support.browser import CHROMIUM, Page, browsing
from tests.support.console import RATE, Speaker, chunks_of, publish, send_sound
from undertone.messaging.settings import KafkaSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
SECONDS = 36
ROW = "document.querySelector('tr.chosen')"
TIME = "document.getElementById('time').textContent"
PLAYS = "document.getElementById('play').textContent === 'Pause'"
WAVES = "document.querySelectorAll('canvas.wave:not([hidden])').length === 2"
# Whether a waveform is drawn from one place to another, as parts of its width.
DRAWN = """((lane, from, to) => {
  const { width, height } = lane;
  const data = lane.getContext('2d').getImageData(from * width, 0, (to - from) * width, height).data;
  return data.some((value) => value > 0);
})(document.querySelector('canvas.wave'), %s, %s)"""

# How much of a canvas's greatest density there is from one place of it to another.
DENSITY = """((canvas, from, to) => {
  const { width, height } = canvas;
  const data = canvas.getContext('2d').getImageData(from * width, 0, (to - from) * width, height).data;
  return data.reduce((most, value, place) => (place %% 4 === 3 ? Math.max(most, value) : most), 0);
})(document.querySelector('%s'), %s, %s)"""


def talk(*spans: tuple[float, float]) -> NDArray[np.int16]:
    """A tone where somebody speaks."""
    time = np.arange(SECONDS * RATE) / RATE
    speaks = sum(((time >= start) & (time < end) for start, end in spans), np.zeros(len(time), bool))
    return (8_000 * np.sin(2 * np.pi * 300 * time) * speaks).astype(np.int16)


def publish_call(kafka: KafkaSettings, topics: Topics) -> None:
    """A call of two people; a piece of the customer's sound never came."""
    customer, agent = Speaker("call-1"), Speaker("call-1", "agent")
    lies = send_sound(
        kafka,
        topics.call_audio.name,
        chunks_of(customer, talk((2, 6), (12, 17), (30, 35)), gap=(20.0, 24.0)),
        chunks_of(agent, talk((7, 11), (18, 24))),
    )
    said = [
        customer.event("segment", 2, 6, "angry", 0.7, audio=lies["call-1/customer"](2, 6)),
        agent.event("segment", 7, 11, "calm", 0.8, audio=lies["call-1/agent"](7, 11)),
        customer.event("segment", 12, 17, "uncertain", 0.5, audio=lies["call-1/customer"](12, 17)),
        agent.event("segment", 18, 24, "happy", 0.6, audio=lies["call-1/agent"](18, 24)),
        customer.event("segment", 30, 35, "angry", 0.6, audio=lies["call-1/customer"](30, 35)),
        customer.event("summary", 0, SECONDS, "angry", 0.6, audio=lies["call-1/customer"](0, SECONDS)),
        agent.event("summary", 0, SECONDS, "calm", 0.6, audio=lies["call-1/agent"](0, SECONDS)),
    ]
    publish(kafka, topics.emotion_events.name, said)


def seconds(page: Page) -> float:
    """Where it plays."""
    minutes, _, rest = str(page.run(TIME)).partition(" of ")[0].partition(":")
    return 60 * int(minutes) + float(rest)


def test_a_call_is_played_with_the_keyboard_alone(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    publish_call(kafka_settings, topics)
    console = start_console()
    with browsing(tmp_path / "profile") as page:
        page.size(1280, 900)
        page.open(f"{console.url}/calls/call-1")
        page.wait("document.querySelectorAll('#events tr').length === 5")
        page.wait(WAVES)
        # Drawn where somebody speaks, a line in silence, and nothing where Kafka has no sound.
        page.wait(DRAWN % (0.1, 0.15))
        page.wait(DRAWN % (0.8, 0.9))
        assert page.run(TIME) == "0:00.0 of 0:36.0"
        # The utterance from 12 to 17, and it alone.
        for _ in range(3):
            page.key("ArrowDown")
        page.wait(f"{ROW}?.innerText.startsWith('0:12.0 - 0:17.0')")
        page.key("Enter")
        page.wait(PLAYS)
        page.wait(f"!({PLAYS})")
        assert 17 <= seconds(page) < 24
        # On from there at double speed, over the end of the piece that the first answer carried, to the end.
        page.run("(speed.value = '2', speed.dispatchEvent(new Event('change')))")
        page.key("ArrowRight")
        page.key(" ")
        page.wait(f"{TIME}.startsWith('0:36.0')")
        page.wait(f"!({PLAYS})")
        page.run("document.querySelector('#volumes input').focus()")
        page.key("ArrowLeft")
        assert page.run("document.getElementById('trouble').textContent") == ""
        for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 390, False)):
            page.size(width, 900, dark=dark)
            page.run("new Promise((done) => setTimeout(done, 500))")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            page.picture(tmp_path / f"{name}.png")
        assert page.problems == []
    assert console.output.count("listens to call-1/customer") == 1


def test_moments_are_marked_and_stand_in_the_link_beside_the_spectrogram(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    publish_call(kafka_settings, topics)
    url = start_console("--port", "0", label_token="listen", watch_token="look").url  # noqa: S106  a test's own
    with browsing(tmp_path / "profile") as page:
        page.size(1280, 1000)
        log_in(page, f"{url}/calls/call-1", "listen")
        page.wait("document.querySelectorAll('#events tr').length === 5")
        page.wait(WAVES)
        assert page.run("document.querySelectorAll('canvas.spectrum:not([hidden])').length") == 0
        page.run("document.getElementById('spectrum').click()")
        page.wait("document.querySelectorAll('canvas.spectrum:not([hidden])').length === 2")
        page.run("document.getElementById('mark').focus()")
        # A tone where somebody speaks, nothing where Kafka has no sound, and silence all but empty.
        loud = DENSITY % ("canvas.spectrum", 0.1, 0.15)
        page.wait(f"{loud} > 200")
        assert page.run(DENSITY % ("canvas.spectrum", 0.58, 0.64)) == 0
        assert page.run(DENSITY % ("canvas.spectrum", 0.7, 0.8)) < 10
        # The keyboard alone: ten seconds on, and its name.
        page.key("ArrowRight")
        page.key("ArrowRight")
        page.key("m")
        page.wait("document.activeElement.id === 'called'")
        page.command("Input.insertText", text="he swears <b>*")
        page.key("Enter")
        page.wait("document.querySelectorAll('.flag').length === 2")
        assert page.run("document.querySelector('#markers li').innerText").startswith("0:10.0 he swears <b>*")
        # Another one, which is not wanted after all.
        page.key("m")
        page.wait("document.activeElement.id === 'called'")
        page.key("Escape")
        page.wait("document.getElementById('naming').hidden")
        for name, width, dark in (("light", 1280, False), ("dark", 1280, True), ("narrow", 390, False)):
            page.size(width, 1000, dark=dark)
            page.run("new Promise((done) => setTimeout(done, 500))")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            page.picture(tmp_path / f"marked-{name}.png")
            assert page.barriers() == []
        link = page.run("location.href")
        assert page.problems == []
    # Somebody else, who may watch only, follows the link by way of the login.
    with browsing(tmp_path / "other") as page:
        log_in(page, link, "look")
        page.wait("document.querySelectorAll('.flag').length === 2")
        assert page.run("document.querySelector('.flag').textContent") == "he swears <b>*"
        assert page.run("document.getElementById('mark').checkVisibility()") is False
        log_in(page, link, "listen")
        page.wait("document.querySelectorAll('canvas.spectrum:not([hidden])').length === 2")
        page.run("document.querySelector('#markers button').click()")
        page.wait(f"{TIME}.startsWith('0:10.0')")
        page.run("document.querySelector('#markers button:last-child').click()")
        page.wait("document.querySelectorAll('.flag').length === 0")
        assert page.run("location.search") == "?spectrum=1"
        assert page.problems == []


def log_in(page: Page, url: str, token: str) -> None:
    """Go there as somebody who has this token."""
    page.command("Network.clearBrowserCookies")
    page.open(url)
    page.wait("document.forms.length === 1 && location.pathname === '/login'")
    page.run(f"(document.forms[0].token.value = '{token}', document.forms[0].submit())")
    page.wait("location.pathname.startsWith('/calls/') && document.readyState === 'complete'")


def test_a_label_is_given_with_a_key_and_taken_back(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    publish_call(kafka_settings, topics)
    url = start_console(labelled_by="Ann").url
    with browsing(tmp_path / "profile") as page:
        page.open(f"{url}/calls/call-1")
        page.wait("document.querySelectorAll('#events tr').length === 5")
        page.key("ArrowDown")
        page.wait(f"{ROW}?.innerText.startsWith('0:30.0')")
        # angry, calm, ... in the order of the alphabet, as the page says.
        page.wait("document.getElementById('digits').textContent.startsWith('1 ')")
        first = page.run("document.getElementById('digits').textContent.split(',')[0].slice(2)")
        page.key("1")
        page.wait(f"{ROW}.innerText.includes('\u2713 {first}, says Ann')")
        (label,) = [label.data for _, label in on_the_topic(kafka_settings, topics)]
        assert (label.emotion, label.labelled_by, label.start_sample) == (first, "Ann", 30 * RATE)
        # Also for who opens the page later.
        page.open(f"{url}/calls/call-1")
        page.wait(f"document.querySelector('#events tr')?.innerText.includes('\u2713 {first}, says Ann')")
        page.key("ArrowDown")
        page.key("u")
        calm = f"[...{ROW}.querySelectorAll('button')].find((one) => one.textContent === 'calm')"
        page.wait(f"Boolean({calm})")
        # One click on what stands beside the model's own.
        page.run(f"{calm}.click()")
        page.wait(f"{ROW}.innerText.includes('\u2713 calm, says Ann')")
        labels = [label.data for _, label in on_the_topic(kafka_settings, topics)]
        assert [(one.emotion, one.withdrawn) for one in labels] == [(first, False), (first, True), ("calm", False)]
        assert page.barriers() == []
        assert page.problems == []


def test_a_stretch_is_dragged_over_and_labelled(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    publish_call(kafka_settings, topics)
    url = start_console(labelled_by="Ann").url
    with browsing(tmp_path / "profile") as page:
        page.size(1280, 900)
        page.open(f"{url}/calls/call-1")
        page.wait("document.querySelectorAll('#events tr').length === 5")
        page.wait(WAVES)
        left, top, width = page.run(
            "(({ x, y, width }) => [x, y, width])(document.querySelector('.lane').getBoundingClientRect())"
        )
        # From a third of the customer's 36 s to a half.
        places = [left + width * part for part in (1 / 3, 0.4, 0.5)]
        page.mouse("mousePressed", places[0], top + 20)
        page.mouse("mouseMoved", places[1], top + 20)
        page.mouse("mouseMoved", places[2], top + 20)
        page.mouse("mouseReleased", places[2], top + 20)
        page.wait("!document.getElementById('stretch').hidden")
        words = page.run("document.getElementById('which').textContent")
        assert words.startswith("customer, 0:1")
        page.key("1")
        page.wait("document.getElementById('answers').innerText.includes('says Ann')")
        (label,) = [label.data for _, label in on_the_topic(kafka_settings, topics)]
        assert label.event_id is None and label.start_sample and label.end_sample and label.audio
        assert abs(label.start_sample - 12 * RATE) < RATE
        assert abs(label.end_sample - 18 * RATE) < RATE
        assert page.barriers() == []
        page.key("u")
        page.wait("!document.getElementById('answers').innerText.includes('says Ann')")
        page.key("Escape")
        page.wait("document.getElementById('stretch').hidden")
        # The keyboard alone: from the playhead, over five seconds.
        page.key("[")
        page.key("ArrowRight")
        page.key("]")
        page.wait("document.getElementById('which').textContent.includes('0:00.0 - 0:05.0')")
        assert page.problems == []
    assert [label.data.withdrawn for _, label in on_the_topic(kafka_settings, topics)] == [False, True]

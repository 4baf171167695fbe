"""The history in a console: searched on its page, made again, and the page of a call that nobody remembers."""

from contextlib import closing
from pathlib import Path

import httpx
import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.support.browser import CHROMIUM, browsing
from tests.support.console import Speaker, publish
from tests.support.installation import PATIENCE_S, wait_for
from undertone.console.web.history.store import FILE
from undertone.messaging.clients import idempotent_producer
from undertone.messaging.settings import KafkaSettings

pytestmark = pytest.mark.slow


def calls(url: str, **query: object) -> list[str]:
    answer = httpx.get(f"{url}/api/history", params={name: str(one) for name, one in query.items()}, timeout=PATIENCE_S)
    assert answer.status_code == 200, answer.text
    return [one["call"] for one in answer.json()["calls"]]


def test_it_is_made_again_and_forgets(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    anna, bert = Speaker("call-1"), Speaker("call-2")
    events = [anna.event("segment", 1, 9, "angry"), bert.event("segment", 2, 12, "angry"), bert.event("summary", 0, 30)]
    publish(kafka_settings, topics.emotion_events.name, events)
    first = start_console("--port", "0", folder=kept)
    url = first.url
    wait_for(lambda: len(calls(url)) == 2, "both calls", said=lambda: first.output)
    assert calls(url, emotion="angry", seconds=9) == ["call-2"]
    assert httpx.get(f"{url}/api/history?since=now", timeout=PATIENCE_S).status_code == 400
    first.process.kill()
    first.process.wait()
    with closing(idempotent_producer(kafka_settings)) as producer:
        producer.send(topics.emotion_labels.name, key=b"call-1", value=None).get(timeout=PATIENCE_S)
    second = start_console("--port", "0", folder=kept)
    url = second.url
    wait_for(lambda: calls(url) == ["call-2"], "the one that is not forgotten", said=lambda: second.output)
    assert second.stop() == 0
    (kept / FILE).unlink()
    third = start_console("--port", "0", folder=kept)
    assert third.url  # it has the folder
    # One more beside it has no folder, and reads all for itself.
    fourth = start_console("--port", "0", folder=kept)
    for console in (third, fourth):
        url = console.url
        wait_for(lambda: calls(url) == ["call-2"], "all again", said=lambda: console.output)  # noqa: B023
    assert "the history is read anew at each start" in fourth.output


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_call_that_is_not_remembered_is_found_and_has_its_page(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    anna, bert, carl = Speaker("call-1", began_s=7_200), Speaker("call-2"), Speaker("call-3")
    events = [
        *(anna.event("segment", at, at + 6, label) for at, label in ((1, "angry"), (10, "sad"), (20, "angry"))),
        anna.event("summary", 0, 40, "angry"),
        bert.event("segment", 1, 9, "happy"),
        carl.event("segment", 1, 4, "angry"),
    ]
    publish(kafka_settings, topics.emotion_events.name, events)
    with browsing(tmp_path / "profile") as page:
        url = start_console("--port", "0", back_s=0).url
        rows = "document.querySelectorAll('#calls tr').length"
        page.open(f"{url}/history")
        page.wait(f"{rows} === 3 || (document.querySelector('button').click(), false)")
        page.run("document.getElementById('emotion').focus()")
        page.run("document.getElementById('emotion').value = 'angry'; document.getElementById('seconds').focus()")
        for key in "10":
            page.key(key)
        page.key("Enter")
        page.wait(f"{rows} === 1")
        assert page.run("location.search") == "?emotion=angry&seconds=10"
        for width, dark in ((1280, False), (1280, True), (390, False)):
            page.size(width, 900, dark=dark)
            page.picture(tmp_path / f"history-{width}-{dark}.png")
            assert page.barriers() == []
        page.run("document.querySelector('#calls a').click()")
        page.wait("location.pathname === '/calls/call-1'")
        page.wait("document.querySelectorAll('#events tr').length === 3")
        page.wait("document.getElementById('channels').innerText.includes('Over: angry')")
        assert page.problems == []

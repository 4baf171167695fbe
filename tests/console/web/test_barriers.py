"""What axe-core finds on the pages: nothing, in light and dark, wide and narrow."""

from pathlib import Path

import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.support.browser import CHROMIUM, browsing
from tests.support.console import Speaker, publish
from undertone.messaging.settings import KafkaSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
# A page, and what is there once it has all that the test has published.
PAGES = {
    "/": "document.querySelectorAll('.row').length === 2",
    "/calls/b-angry": "document.querySelectorAll('#events tr').length === 3",
    "/calls/nobody": "!document.getElementById('empty').hidden",
    "/login": "document.forms.length === 1",
    "/login?wrong=1": "document.querySelector('.wrong')",
}
# Pages that have nothing to show, and say what to do: other tests look at them as they are else, and in all sizes.
EMPTY = {
    "/?prefix=x": "!document.getElementById('others').hidden",
    "/history?call=x": "!document.getElementById('none').hidden",
    "/rules": "!document.getElementById('none').hidden",
    "/worth": "!document.getElementById('none').hidden",
}
SIZES = ((1280, False), (1280, True), (390, False))


def test_nothing_keeps_anybody_out(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    angry, agent, unsure = Speaker("b-angry"), Speaker("b-angry", "agent"), Speaker("c-unsure")
    publish(
        kafka_settings,
        topics.emotion_events.name,
        [
            angry.event("segment", 45, 52, "angry", 0.7),
            angry.event("update", 54, 59, "angry", 0.9),
            agent.event("segment", 52, 58, "happy", 0.6),
            unsure.event("segment", 50, 58, "uncertain", 0.55),
            unsure.event("summary", 0, 60, "uncertain", 0.55),
        ],
    )
    url = start_console().url
    found = {}
    with browsing(tmp_path / "profile") as page:
        for path, there in (PAGES | EMPTY).items():
            for width, dark in SIZES if path in PAGES else SIZES[2:]:
                page.size(width, 900, dark=dark)
                page.open(url + path)
                page.wait(f"Boolean({there})")
                # Nothing has to be scrolled sideways, not even on a phone.
                assert page.run("document.documentElement.scrollWidth <= innerWidth"), (path, width)
                if barriers := page.barriers():
                    found[path, width, dark] = barriers
                    page.picture(tmp_path / "barriers.png")
        assert page.problems == []
    assert found == {}

"""Rules in a console: alerts on the page, and at their webhook for certain."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.sinks.receiver import SECRET, answer, receiving
from tests.support.browser import CHROMIUM, browsing
from tests.support.console import Speaker, publish, status
from tests.support.installation import PATIENCE_S, wait_for
from undertone.console.web.rules.store import FILE
from undertone.messaging.settings import KafkaSettings

pytestmark = pytest.mark.slow


# In the place of the browser's notifications, which nobody sees here.
_NOTES = """window.told = []; window.Notification = class {
  static permission = "granted";
  constructor(title, { body }) { told.push(`${title}: ${body}`); }
}; 0"""


def rules_file(folder: Path, url: str) -> Path:
    path = folder / "rules.yml"
    path.write_text(
        f"webhook: {url}\nrules:\n- name: angry\n  emotion: angry\n  probability: 0.6\n  for: 5 s\n"
        "- name: quiet sadness\n  emotion: sad\n  webhook: none\n",
        encoding="utf-8",
    )
    return path


def test_an_alert_outlives_a_kill_and_comes_under_one_id(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    with receiving() as receiver:
        path = rules_file(tmp_path, receiver.url)
        receiver.misbehave = lambda handler, body: answer(handler, 503)
        first = start_console("--port", "0", "--rules", str(path), webhook_secret=SECRET, folder=kept)
        assert first.url
        anna = Speaker("call-1")
        publish(kafka_settings, topics.emotion_events.name, [anna.event("update", 40, 47, "angry", 0.9)])
        wait_for(lambda: len(receiver.requests) >= 2, "two tries", said=lambda: first.output)
        first.process.kill()
        first.process.wait()
        # While it is away the call goes on, and another one begins.
        events = [anna.event("segment", 40, 48, "angry", 0.9), Speaker("call-2").event("segment", 1, 9, "angry", 0.9)]
        publish(kafka_settings, topics.emotion_events.name, events)
        receiver.misbehave = lambda handler, body: False
        second = start_console("--port", "0", "--rules", str(path), webhook_secret=SECRET, folder=kept)
        assert second.url
        wait_for(lambda: len(receiver.taken) >= 2, "both alerts", said=lambda: second.output)
        assert second.stop() == 0
        by_call = {alert["data"]["call_id"]: alert for alert in receiver.taken}
        assert by_call.keys() == {"call-1", "call-2"}
        assert len(receiver.taken) == 2
        tried = {json.loads(body)["data"]["call_id"]: headers["webhook-id"] for _, headers, body in receiver.requests}
        assert tried == {call: alert["id"] for call, alert in by_call.items()}
        assert by_call["call-1"]["data"]["reason"] == "angry for 7 s"


def test_a_disk_that_takes_nothing_is_told_and_loses_no_alert(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    path = rules_file(tmp_path, "none")
    console = start_console("--port", "0", "--rules", str(path), folder=tmp_path / "kept")
    url = f"{console.url}/api/rules"
    metrics = re.findall(r"metrics on (http://\S+)/metrics", console.output)[0]
    with closing(sqlite3.connect(tmp_path / "kept" / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        publish(kafka_settings, topics.emotion_events.name, [Speaker("call-1").event("update", 1, 9, "angry", 0.9)])
        wait_for(
            lambda: "locked" in httpx.get(url, timeout=PATIENCE_S).json()["away"],
            "what is wrong",
            said=lambda: console.output,
        )
        wait_for(lambda: httpx.get(f"{metrics}/readyz", timeout=PATIENCE_S).status_code == 503, "that it is not ready")
        assert httpx.get(url, timeout=PATIENCE_S).json()["alerts"] == []
        other.execute("ROLLBACK")
    wait_for(
        lambda: len(httpx.get(url, timeout=PATIENCE_S).json()["alerts"]) == 1, "the alert", said=lambda: console.output
    )
    wait_for(lambda: httpx.get(f"{metrics}/readyz", timeout=PATIENCE_S).status_code == 200, "that it is ready")
    assert httpx.get(url, timeout=PATIENCE_S).json()["away"] == ""


def test_rules_that_cannot_be_are_one_line(start_console: StartConsole, tmp_path: Path) -> None:
    path = rules_file(tmp_path, "https://desk.example.com")
    no_secret = start_console("--port", "0", "--rules", str(path))
    assert no_secret.process.wait(120) == 2
    assert "Set UNDERTONE_CONSOLE_WEBHOOK_SECRET" in no_secret.output
    path.write_text("rules:\n- name: a\n  probability: 3\n", encoding="utf-8")
    wrong = start_console("--port", "0", "--rules", str(path))
    assert wrong.process.wait(120) == 2
    assert f"--rules {path}, line 3: probability" in wrong.output
    path.write_text("rules:\n- name: a\n  silence: 10 s\n", encoding="utf-8")
    one = start_console("--port", "0", "--rules", str(path), folder=tmp_path / "shared")
    assert one.url
    other = start_console("--port", "0", "--rules", str(path), folder=tmp_path / "shared")
    assert other.process.wait(120) == 2
    assert "another console has" in other.output


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_who_meets_a_rule_comes_first_and_is_listed(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics, tmp_path: Path
) -> None:
    with receiving() as receiver, browsing(tmp_path / "profile") as page:
        path = rules_file(tmp_path, receiver.url)
        console = start_console("--port", "0", "--rules", str(path), webhook_secret=SECRET, watch_token="w", token="o")  # noqa: S106
        url = console.url
        assert status(f"{url}/api/rules") == 401
        assert status(f"{url}/api/rules", authorization="Bearer w") == 200
        page.open(f"{url}/login")
        page.run("document.querySelector('input[name=token]').value = 'w'; document.forms[0].submit()")
        page.wait("document.getElementById('state')?.className === 'live'")
        silent, sad = Speaker("a-silent"), Speaker("z-sad")
        events = [silent.event("segment", 1, 9, "angry", 0.55), sad.event("update", 50, 59.5, "sad", 0.9)]
        publish(kafka_settings, topics.emotion_events.name, events)
        page.wait("document.querySelectorAll('.row').length === 2")
        page.wait("document.querySelector('.row[aria-rowindex=\"1\"]').innerText.includes('quiet sadness: sad')")
        page.key("Tab")
        page.wait("document.activeElement.tagName !== 'BODY'")
        page.open(f"{url}/rules")
        page.wait("document.querySelectorAll('#rules tr').length === 2")
        page.wait("document.querySelector('#alerts tr')?.innerText.includes('z-sad')")
        assert page.run("document.querySelector('#rules').rows[1].cells[1].innerText") == "1"
        # It is live: what comes while the page is open stands on it, and the browser tells who has asked for that.
        page.run(_NOTES)
        anna = Speaker("call-1")
        publish(kafka_settings, topics.emotion_events.name, [anna.event("update", 50, 58, "angry", 0.9)])
        page.wait("document.querySelector('#alerts tr')?.innerText.includes('angry for 8 s')")
        page.wait("document.querySelector('#alerts tr').innerText.includes('taken')")
        assert page.run("told") == ["angry: call-1: angry for 8 s"]
        asked = httpx.get(f"{url}/api/rules?call=z-sad", headers={"Authorization": "Bearer w"}, timeout=PATIENCE_S)
        of_one = asked.json()["alerts"]
        assert [alert["call_id"] for alert in of_one] == ["z-sad"]
        # On the page of its call an alert is a flag on the timeline, also for who may not listen.
        page.open(f"{url}/calls/call-1")
        page.wait("document.querySelector('.lane .flag.alert')?.innerText === '\u25b2 angry'")
        page.wait("document.getElementById('alerts').innerText === '\u25b2 0:58.0 angry: angry for 8 s (customer)'")
        assert page.barriers() == []
        page.picture(tmp_path / "alert.png")
        page.open(f"{url}/rules")
        page.wait("document.querySelectorAll('#alerts tr').length === 2")
        for width, dark in ((1280, False), (1280, True), (390, False)):
            page.size(width, 900, dark=dark)
            page.picture(tmp_path / f"rules-{width}-{dark}.png")
            assert page.barriers() == []
        assert page.problems == []

"""The page of models: what the registry has, and another champion for who may choose it."""

from pathlib import Path

import httpx
import pytest

from tests.console.web.conftest import StartConsole
from tests.support.browser import CHROMIUM, browsing
from tests.support.installation import PATIENCE_S, Installation
from tests.support.service import bundle_of, publish_model
from undertone.registry.changes import promote
from undertone.registry.contents import read_contents

pytestmark = pytest.mark.slow


def test_only_who_operates_changes_the_champion_and_the_log_says_who(
    start_console: StartConsole, installation: Installation
) -> None:
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    console = start_console("--port", "0", token="o", label_token="l")  # noqa: S106
    url = console.url
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer o"}, timeout=60) as operates:
        known = operates.get("/api/models").json()
        assert (known["running"], known["named"], known["previous"]) == ("b", False, None)
        assert {one["version"] for one in known["models"]} >= {"a", "b"}
        assert known["models"][0]["card"]["labels"]
        asked = {"version": "a", "champion": "b"}
        refused = [
            httpx.post(f"{url}/api/models/promote", json=asked, timeout=PATIENCE_S).status_code,
            httpx.post(
                f"{url}/api/models/promote", json=asked, headers={"Authorization": "Bearer l"}, timeout=PATIENCE_S
            ).status_code,
            operates.post("/api/models/promote", json=asked, headers={"Origin": "http://else.where"}).status_code,
            operates.post("/api/models/promote", data=asked).status_code,
            operates.post("/api/models/promote", json={"champion": "b"}).status_code,
            operates.post("/api/models/promote", json=asked | {"champion": "a"}).status_code,
            operates.post("/api/models/promote", json=asked | {"version": "nobody"}).status_code,
            operates.post("/api/models/rollback", json={"champion": "b"}).status_code,
        ]
        assert refused == [401, 403, 403, 415, 400, 409, 409, 409]
        assert read_contents(installation.settings).running == "b"
        assert operates.post("/api/models/promote", json=asked).json() == {"champion": "a", "before": "b"}
        assert operates.post("/api/models/rollback", json={"champion": "a"}).json() == {"champion": "b", "before": "a"}
        changes = operates.get("/api/models").json()["changes"]
    assert [(one["version"], one["by"], one["how"]) for one in changes] == [
        ("b", "console", "rollback"), ("a", "console", "promote"),
    ]  # fmt: skip
    assert "'console' (operate, 127.0.0.1) promotes a, before: b" in console.output
    assert "'console' (operate, 127.0.0.1) rolls back to b, before: a" in console.output


def test_a_report_is_at_hand_for_who_may_label_and_runs_no_script(
    start_console: StartConsole, installation: Installation, tmp_path: Path
) -> None:
    publish_model(installation, "a", bundle_of("a"))
    for name, decision in (
        ("1", '{"candidate": "a"}'),
        ("2", '{"candidate": "a"}'),
        ("3", "{"),
        ("4", '{"candidate": "b"}'),
    ):
        run = tmp_path / "out" / "runs" / name
        run.mkdir(parents=True)
        (run / "decision.json").write_text(decision)
        if name != "4":
            (run / "report.html").write_text(f"<p>report {name}</p>")
    variables = {"label_token": "l", "watch_token": "w", "reports": tmp_path / "out"}
    url = start_console("--port", "0", **variables).url
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer l"}, timeout=60) as labels:
        assert {one["version"]: one["report"] for one in labels.get("/api/models").json()["models"]}["a"]
        answer = labels.get("/api/models/report/a")
        assert answer.text == "<p>report 2</p>"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert labels.get("/api/models/report/b").status_code == 404
        assert labels.get("/api/models/report/..%2f..%2fdecision.json").status_code == 404
    watches = {"Authorization": "Bearer w"}
    assert httpx.get(f"{url}/api/models/report/a", headers=watches, timeout=60).status_code == 403


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_a_champion_is_chosen_by_keyboard_and_only_after_yes(
    start_console: StartConsole, installation: Installation, tmp_path: Path
) -> None:
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    promote(installation.settings, "b", "ann")
    with browsing(tmp_path / "profile") as page:
        page.open(f"{start_console().url}/model")
        page.wait("document.getElementById('running')?.innerText === 'Workers run b, the champion.'")
        page.wait("document.getElementById('which').innerText === 'b'")
        choose = "[...document.querySelectorAll('#models button')].find((one) => one.ariaLabel === 'Promote a')"
        page.run(f"{choose}.focus()")
        page.key("Enter")
        page.wait("document.getElementById('sure').open")
        page.picture(tmp_path / "sure.png")
        assert page.barriers() == []
        # No comes first: Enter changes nothing.
        assert page.run("document.activeElement.textContent") == "No"
        page.key("Enter")
        page.wait("!document.getElementById('sure').open")
        assert read_contents(installation.settings).running == "b"
        page.run(f"{choose}.focus()")
        page.key("Enter")
        page.wait("document.getElementById('sure').open")
        page.key("Tab")
        page.key("Enter")
        page.wait("document.getElementById('running').innerText === 'Workers run a, the champion.'")
        page.wait("document.getElementById('which').innerText === 'a'")
        assert read_contents(installation.settings).running == "a"
        for width, dark in ((1280, False), (1280, True), (390, False)):
            page.size(width, 900, dark=dark)
            page.picture(tmp_path / f"model-{width}-{dark}.png")
            assert page.barriers() == []
        assert page.problems == []

"""The page of figures: what Grafana would show, from a real Prometheus that scrapes the console itself."""

import time
from pathlib import Path

import httpx
import pytest

from tests.console.web.conftest import StartConsole
from tests.support.browser import CHROMIUM, browsing
from tests.support.console import ConsoleProcess
from tests.support.installation import PATIENCE_S, wait_for
from tests.support.prometheus import Prometheus
from undertone.devbroker.broker import free_port

pytestmark = pytest.mark.slow


def asked(console: ConsoleProcess, path: str) -> httpx.Response:
    return httpx.get(f"{console.url}/api/figures{path}", timeout=PATIENCE_S)


def test_without_prometheus_it_says_so_and_no_browser_asks_what_it_likes(start_console: StartConsole) -> None:
    console = start_console()
    listed = asked(console, "").json()
    assert not listed["there"]
    assert {board["name"] for board in listed["boards"]} == {"service", "emotion", "model"}
    assert "queries" not in listed["boards"][0]["panels"][0]
    panel = f"/service/{listed['boards'][0]['panels'][0]['id']}"
    assert asked(console, panel).status_code == 503
    assert "UNDERTONE_CONSOLE_PROMETHEUS" in asked(console, panel).text
    assert [asked(console, f"{panel}?minutes={wrong}").status_code for wrong in ("0", "x", "99999")] == [400, 400, 400]
    assert asked(console, "/service/9999").status_code == 404
    # A role goes into the question: it is one of ours, or none.
    assert {board["name"]: board["roles"] for board in listed["boards"]}["emotion"] == ["customer", "agent"]
    assert [asked(console, f"{panel}?role={role}").status_code for role in ('x"}', "agent")] == [400, 503]
    # What is told of one that does not answer holds nothing of its address, which may hold a login.
    away = start_console("--port", "0", prometheus=f"http://ann:secret@127.0.0.1:{free_port(0)}")
    assert asked(away, panel).status_code == 503
    assert "secret" not in asked(away, panel).text + away.output


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_figures_are_those_of_prometheus(start_console: StartConsole, tmp_path: Path) -> None:
    metrics = free_port(0)
    with Prometheus(tmp_path / "prometheus", {"console": metrics}, "1m") as prometheus:
        console = start_console("--port", "0", metrics_port=metrics, prometheus=f"http://127.0.0.1:{prometheus.port}/")
        # Its log does not fill with what Prometheus is asked, nor with where that is.
        assert asked(console, "/service/2").status_code == 200
        assert "api/v1" not in console.output
        boards = {board["name"]: board for board in asked(console, "").json()["boards"]}
        ids = {panel["title"]: panel["id"] for panel in boards["service"]["panels"]}
        pages = f"/service/{ids['Console: pages that are open']}"
        wait_for(lambda: bool(asked(console, pages).json()["series"]), "a figure", said=lambda: console.output)
        told = asked(console, pages).json()
        (series,) = told["series"]
        assert series["legend"] == f"127.0.0.1:{metrics}"
        assert series["points"][-1][1] == 0
        assert 0 <= time.time() * 1000 - told["to"] < 60_000
        answered = {
            (board["name"], panel["title"]): asked(console, f"/{board['name']}/{panel['id']}").status_code
            for board in boards.values()
            for panel in board["panels"]
        }
        assert {title: status for title, status in answered.items() if status != 200} == {}
        with browsing(tmp_path / "profile") as page:
            page.open(f"{console.url}/figures")
            # "Workers that answer" comes first.
            # It has the colour of its level, and says it in words: nobody hears a call here.
            page.wait("document.querySelector('article .value')?.innerText === '0 \u25b2 bad'")
            assert page.run("document.querySelector('article .value').className") == "value bad"
            page.run("document.getElementById('minutes').focus()")
            for width, dark in ((1280, False), (1280, True), (390, False)):
                page.size(width, 900, dark=dark)
                page.wait("document.getElementById('state').className === 'live'")
                # Colours of a chart are those of the page: it is drawn anew where they change.
                page.run("new Promise((done) => setTimeout(done, 500))")
                page.picture(tmp_path / f"figures-{width}-{dark}.png")
                assert page.barriers() == []
            page.size(1280, 900)
            page.run("[...document.querySelectorAll('article')].at(-1).scrollIntoView()")
            page.wait("[...document.querySelectorAll('.lines li')].some((one) => one.innerText.includes(': 0'))")
            page.picture(tmp_path / "figures-end.png")
            page.run("document.getElementById('board').value = 'emotion'")
            page.run("document.getElementById('board').dispatchEvent(new Event('change'))")
            page.wait("location.search === '?board=emotion&minutes=60'")
            page.run("document.getElementById('role').value = 'customer'")
            page.run("document.getElementById('role').dispatchEvent(new Event('change'))")
            page.wait("location.search === '?board=emotion&minutes=60&role=customer'")
            # This dashboard has no rows with headings of their own.
            assert page.barriers() == []
            page.run("document.querySelector('article.timeseries').scrollIntoView()")
            page.wait("document.querySelector('article.timeseries .lines').innerText === 'nothing was measured'")
            assert page.problems == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_axes_are_numbers_that_people_read(start_console: StartConsole, tmp_path: Path) -> None:
    with browsing(tmp_path / "profile") as page:
        page.open(f"{start_console().url}/figures")
        page.wait("!document.getElementById('none').hidden")
        page.run("import('/static/chart.js').then((chart) => { window.chart = chart; })")
        ends = "[[0.218], [], [1.09, 0], [-21.7], [-3, 40], [0.0508]].map(chart.ends)"
        assert page.run(ends) == [[0, 0.25], [0, 1], [0, 2], [-25, 0], [-50, 50], [0, 0.1]]
        words = "[6.6e-6, 0.028, 0, 6480, 400000].map((value) => chart.valueWords(value, 's'))"
        assert page.run(words) == ["6.6 \u00b5s", "28 ms", "0 s", "1.8 h", "4.63 d"]
        # An emotion has the colour that it has on every other page.
        assert page.run("chart.lineStyle(0, 'angry')[0]") == "#d55e00"
        assert page.problems == []

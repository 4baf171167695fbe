"""Who gets what of the console: hosts, other sites, the login, paths, and addresses that others reach."""

import contextlib
import os
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import httpx
import pytest

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.support.console import COMMAND, ConsoleProcess, status
from tests.support.installation import PATIENCE_S
from undertone.console.web.settings import ConsoleSettings
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings
from undertone.messaging.topics import ensure_topics

ANYWHERE = "0.0.0.0"  # noqa: S104  what must not be open without a token
PAGES = ("/", "/calls/call-1", "/static/now.js", "/api/events")


@pytest.fixture(scope="module")
def shared_url(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One console for those who only ask it something: each start of one costs more than all their questions."""
    settings = KafkaSettings(bootstrap_servers=kafka, topic_prefix=f"t-{uuid.uuid4().hex[:8]}.")
    with admin(settings) as client:
        ensure_topics(client, Topics(settings.topic_prefix), partitions=4)
    environment = os.environ | {
        "UNDERTONE_BOOTSTRAP_SERVERS": kafka,
        "UNDERTONE_TOPIC_PREFIX": settings.topic_prefix,
    }
    console = ConsoleProcess(environment, tmp_path_factory.mktemp("shared") / "console.log")
    try:
        yield console.url
    finally:
        console.process.kill()
        console.process.wait()


def raw(url: str, request: str) -> str:
    """The answer's first line to a request as it stands here: no client tidies it up."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        return connection.recv(4096).decode(errors="replace").split("\r\n")[0]


def test_on_this_machine_nobody_logs_in(shared_url: str) -> None:
    url = shared_url
    assert [status(url + path) for path in PAGES] == [200, 200, 200, 200]
    answer = httpx.get(url, timeout=PATIENCE_S)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    # Nothing inline, and nothing from elsewhere.
    for page in (
        answer.text,
        httpx.get(f"{url}/login", timeout=PATIENCE_S).text,
        httpx.get(f"{url}/calls/call-1", timeout=PATIENCE_S).text,
    ):
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|\bstyle=|https?://", page)
    tag = httpx.get(f"{url}/static/now.js", timeout=PATIENCE_S).headers["etag"]
    assert status(f"{url}/static/now.js", if_none_match=tag) == 304
    assert httpx.get(f"{url}/nothing", timeout=PATIENCE_S).status_code == 404


def test_other_hosts_and_other_sites_are_refused(start_console: StartConsole) -> None:
    url = start_console(allowed_hosts="console.example.com", port=0).url
    assert status(url, host="evil.example.com") == 421
    assert status(url, host="console.example.com") == 200
    assert status(url, host="localhost:8080") == 200
    assert status(f"{url}/api/events", host="[::1") == 421
    assert raw(url, "GET / HTTP/1.1\nHost: localhost\nHost: evil.example.com\n\n").split()[1] in ("400", "421")
    assert status(f"{url}/api/events", sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
    assert status(f"{url}/static/now.js", sec_fetch_site="same-site", sec_fetch_mode="no-cors") == 403
    assert status(f"{url}/api/events", origin="http://evil.example.com") == 403
    assert status(f"{url}/api/events", origin="null") == 403
    # A link to a call may stand on any page.
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert status(f"{url}/calls/a", **link, sec_fetch_dest="document") == 200
    assert status(f"{url}/calls/a", **link, sec_fetch_dest="iframe") == 403


@pytest.mark.parametrize(
    "path",
    ["/static/../settings.py", "/static/..%2fsettings.py", "/static/%2e%2e/settings.py", "/static//etc/passwd",
     "/static/..\\settings.py", "/static/%00", "/static/now.html", "/../../etc/passwd", "//etc/passwd"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(shared_url: str, path: str) -> None:
    line = raw(shared_url, f"GET {path} HTTP/1.1\nHost: localhost\n\n")
    assert line.split()[1] in ("400", "404"), line


def test_with_a_token_people_log_in(start_console: StartConsole) -> None:
    console = start_console("--port", "0", "--token", "sesame, open")
    url = console.url
    assert [status(url + path) for path in PAGES] == [303, 303, 401, 401]
    assert status(f"{url}/api/events", authorization="Bearer sesame, open") == 200
    assert status(f"{url}/api/events", authorization="Bearer sesame") == 401
    # A host that would make another path of it.
    for host in (
        "localhost/login?",
        "localhost/login#",
        "x@localhost",
        "localhost:80:80",
        "localhost\\login?",
    ):
        line = raw(url, f"GET /api/events HTTP/1.1\nHost: {host}\n\n")
        assert line.split()[1] in ("400", "421"), (host, line)
    cookie = f"undertone_console_{urlsplit(url).port}"
    with httpx.Client(base_url=url, timeout=60) as browser:
        wrong = browser.post("/login?next=/calls/a", data={"token": "guess"}).headers["location"]
        assert wrong == "/login?wrong=1&next=%2Fcalls%2Fa"
        assert "That is not the token" in browser.get(wrong).text
        assert not browser.cookies
        elsewhere = {"Origin": "http://evil.example.com"}
        assert browser.post("/login", data={"token": "sesame, open"}, headers=elsewhere).status_code == 403
        assert browser.post("/login", content=b"token=" + b"x" * 10_000).status_code == 413
        answer = browser.post("/login", data={"token": "sesame, open"}, headers={"Origin": url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        for asked, given in (
            ("/calls/a?x=1", "/calls/a?x=1"),
            ("//evil.example.com", "/"),
            ("/\\evil.example.com", "/"),
        ):
            answer = browser.post("/login", params={"next": asked}, data={"token": "sesame, open"})
            assert answer.headers["location"] == given
        assert {"httponly", "samesite=lax"} <= set(answer.headers["set-cookie"].lower().split("; "))
        assert browser.get("/").status_code == 200
        end, _, signature = browser.cookies[cookie].partition(".")
    later = f"{cookie}={int(end) + 1}.{signature}"
    assert status(f"{url}/api/events", cookie=later) == 401
    assert "sesame" not in console.output


def test_an_address_that_others_reach_needs_a_token(
    start_console: StartConsole, kafka_environment: Mapping[str, str], topics: Topics
) -> None:
    done = subprocess.run(
        [*COMMAND, "--host", ANYWHERE, "--port", "0"],
        env=kafka_environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "--token" in done.stderr and ANYWHERE in done.stderr
    console = start_console("--host", ANYWHERE, "--port", "0", token="sesame")  # noqa: S106  a test's own
    url = console.url.replace(ANYWHERE, "127.0.0.1")
    assert status(f"{url}/api/events") == 401
    assert status(f"{url}/login") == 200
    assert console.stop() == 0
    assert console.output.endswith("stopped\n")


@pytest.mark.slow
def test_a_request_that_does_not_come_to_an_end_is_closed(shared_url: str) -> None:
    address = urlsplit(shared_url)
    for beginning in (b"", b"GET / HTTP/1.1\r\nHost: local", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT"):
        with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S) as connection:
            connection.sendall(beginning)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), (ANYWHERE, False), ("::", False),
     ("10.0.0.1", False), ("console", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, loopback: bool) -> None:
    assert ConsoleSettings.model_construct(host=host).loopback == loopback


def test_a_port_that_is_taken_is_one_clear_line(
    start_console: StartConsole, kafka_environment: Mapping[str, str], topics: Topics
) -> None:
    port = start_console().url.rpartition(":")[2]
    done = subprocess.run(
        [*COMMAND, "--port", port], env=kafka_environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"undertone: cannot listen on 127.0.0.1:{port}")

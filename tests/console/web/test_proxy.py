"""Who somebody is by a proxy's header: nobody, unless it is named, comes from the proxy and stands there once."""

import subprocess
from collections.abc import Mapping

import httpx
import pytest
from starlette.requests import HTTPConnection

from schemas.errors import UserError
from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.console.web.test_access import ANYWHERE
from tests.support.console import COMMAND
from tests.support.installation import PATIENCE_S
from undertone.console.web.access import Sessions
from undertone.console.web.roles import Person, Role
from undertone.console.web.settings import ConsoleSettings

NAMED = {"user_header": "X-Forwarded-Email"}
GROUPS = {"groups_header": "X-Forwarded-Groups", "role_groups": "callcenter=label, it = operate"}
ANN = {"x-forwarded-email": "ann@example.com"}


def who(settings: ConsoleSettings, *headers: Mapping[str, str], client: str = "127.0.0.1") -> Person | None:
    """Whom the console takes a request for that comes from somewhere with some headers."""
    raw = [(name.encode(), value.encode()) for some in headers for name, value in some.items()]
    scope = {"type": "http", "headers": raw, "client": (client, 50_000), "server": ("127.0.0.1", 8080)}
    return Sessions(settings).who(HTTPConnection(scope))


def test_a_name_that_the_proxy_gives_is_who_somebody_is() -> None:
    settings = ConsoleSettings.load(**NAMED)
    assert who(settings, ANN) == Person(Role.WATCH, "ann@example.com")
    assert who(settings, {"x-forwarded-email": " J\u00fcrgen\n "}) == Person(Role.WATCH, "J\u00fcrgen")
    assert who(settings) is None
    assert who(settings, {"x-forwarded-email": " "}) is None
    assert who(settings, {"x-forwarded-user": "ann"}) is None
    # A browser's own, and the proxy's beside it.
    assert who(settings, ANN, {"x-forwarded-email": "eve@example.com"}) is None


@pytest.mark.parametrize("client", ["10.0.0.7", "::2", "192.168.1.1", "testclient", ""])
def test_from_elsewhere_it_is_nothing(client: str) -> None:
    assert who(ConsoleSettings.load(**NAMED), ANN, client=client) is None


@pytest.mark.parametrize("client", ["172.18.0.3", "::ffff:172.18.0.3", "fd00::1"])
def test_the_proxy_may_be_in_another_network(client: str) -> None:
    settings = ConsoleSettings.load(**NAMED, proxy_networks="172.16.0.0/12, fd00::/8")
    assert who(settings, ANN, client=client) == Person(Role.WATCH, "ann@example.com")
    assert who(settings, ANN) is None


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ("callcenter", Role.LABEL),
        ("sales, callcenter", Role.LABEL),
        ("callcenter,it", Role.OPERATE),
        ("operate", Role.WATCH),
        ("Callcenter", Role.WATCH),
        ("callcenter2", Role.WATCH),
        ("", Role.WATCH),
    ],
)
def test_groups_give_roles(said: str, role: Role) -> None:
    found = who(ConsoleSettings.load(**NAMED, **GROUPS), ANN, {"x-forwarded-groups": said})
    assert found == Person(role, "ann@example.com")


def test_who_is_in_no_group_may_be_nobody() -> None:
    settings = ConsoleSettings.load(**NAMED, **GROUPS, user_role="none")
    assert who(settings, ANN) is None
    assert who(settings, ANN, {"x-forwarded-groups": "it"}) == Person(Role.OPERATE, "ann@example.com")
    assert who(settings, ANN, {"x-forwarded-groups": "it"}, {"x-forwarded-groups": "it"}) is None


def test_a_token_counts_beside_it() -> None:
    settings = ConsoleSettings.load(**NAMED, label_token="sesame")  # noqa: S106  a test's own
    assert who(settings, {"authorization": "Bearer sesame"}) == Person(Role.LABEL, "console")
    assert who(settings, ANN) == Person(Role.WATCH, "ann@example.com")
    assert who(settings) is None


@pytest.mark.parametrize(
    "options",
    [
        {"user_header": "X Forwarded"},
        {"user_header": "Cookie:"},
        GROUPS,
        NAMED | {"role_groups": "callcenter"},
        NAMED | {"role_groups": "callcenter=admin"},
        NAMED | {"role_groups": "=label"},
        NAMED | {"user_role": "admin"},
        NAMED | {"proxy_networks": "10.0.0.0/99"},
    ],
)
def test_what_makes_no_sense_is_told(options: dict[str, str]) -> None:
    with pytest.raises(UserError):
        ConsoleSettings.load(**options)


def test_a_forged_header_has_no_effect_where_none_is_named(start_console: StartConsole) -> None:
    forged = ANN | {"x-forwarded-user": "ann", "x-auth-request-email": "ann@example.com", "x-forwarded-groups": "it"}
    url = start_console("--port", "0", token="sesame").url  # noqa: S106  a test's own
    assert httpx.get(f"{url}/api/me", headers=forged, timeout=PATIENCE_S).status_code == 401
    assert httpx.get(url, headers=forged, timeout=PATIENCE_S).headers["location"] == "/login?next=%2F"
    # Where nobody logs in it is not believed either.
    assert httpx.get(f"{start_console().url}/api/me", headers=forged, timeout=PATIENCE_S).json()["name"] == "console"


def test_behind_a_proxy_nobody_is_asked_for_a_token(start_console: StartConsole) -> None:
    console = start_console("--host", ANYWHERE, "--port", "0", "--user-header", "X-Forwarded-Email", **GROUPS)
    url = console.url.replace(ANYWHERE, "127.0.0.1")
    me = httpx.get(f"{url}/api/me", headers=ANN | {"x-forwarded-groups": "callcenter"}, timeout=PATIENCE_S).json()
    assert (me["name"], me["may"]) == ("ann@example.com", ["watch", "label"])
    assert httpx.get(url, headers=ANN, timeout=PATIENCE_S).status_code == 200
    assert httpx.get(url, timeout=PATIENCE_S).status_code == 401
    assert httpx.get(f"{url}/api/me", timeout=PATIENCE_S).status_code == 401
    # There is no token that would fit.
    answer = httpx.post(f"{url}/login", data={"token": ""}, timeout=PATIENCE_S)
    assert answer.headers["location"].startswith("/login?wrong=1")


def test_an_address_that_others_reach_still_needs_one_of_them(
    kafka_environment: Mapping[str, str], topics: Topics
) -> None:
    done = subprocess.run(
        [*COMMAND, "--host", ANYWHERE, "--port", "0"],
        env=kafka_environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--user-header" in done.stderr and "--token" in done.stderr

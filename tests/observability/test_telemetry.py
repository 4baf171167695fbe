"""What a service may be asked by POST, and by whom."""

import urllib.request
from urllib.error import HTTPError

import pytest
from prometheus_client import CollectorRegistry

from undertone.observability.telemetry import Health, Telemetry


def asked(server: Telemetry, path: str, method: str = "POST", **headers: str) -> tuple[int, str]:
    url = f"http://{server.host}:{server.port}{path}"
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_service_does_what_a_program_of_its_machine_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def act() -> str:
        done.append("now")
        return "it begins"

    with Telemetry("127.0.0.1", 0, CollectorRegistry(), Health(), {"/rebuild": act}) as server:
        assert asked(server, "/rebuild") == (200, "it begins\n")
        assert asked(server, "/rebuild", "GET")[0] == 405
        assert asked(server, "/rebuild", Origin="https://evil.example")[0] == 403
        assert asked(server, "/other")[0] == 404
        assert done == ["now"]
        environment = {"PATH_INFO": "/rebuild", "REQUEST_METHOD": "POST", "REMOTE_ADDR": "192.0.2.7"}
        statuses: list[str] = []
        server._answer(environment, lambda status, _: statuses.append(status))
        assert statuses == ["403 Forbidden"]
        assert done == ["now"]

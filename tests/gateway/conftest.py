"""Gateways of a test's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.gateway import GatewayProcess, environment_of
from tests.support.installation import Installation


class StartGateway(Protocol):
    """Starts one more gateway."""

    def __call__(self, *options: str, **variables: object) -> GatewayProcess:
        """With these options; `variables` become UNDERTONE_GATEWAY_<NAME>."""


@pytest.fixture
def start_gateway(installation: Installation, tmp_path: Path) -> Iterator[StartGateway]:
    """Gateways on the topics of the test, killed at its end."""
    running: list[GatewayProcess] = []

    def start(*options: str, **variables: object) -> GatewayProcess:
        log = tmp_path / f"gateway-{len(running)}.log"
        running.append(GatewayProcess(environment_of(installation), log, *options, **variables))
        return running[-1]

    yield start
    for gateway in running:
        gateway.kill()

"""What the tests of the sinks share: a PostgreSQL, events on Kafka, and sinks in processes of their own."""

from collections.abc import Iterator

import pytest

from tests.sinks.carrying import Carrying
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests; each makes a database of its own."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def carrying(installation: Installation) -> Carrying:
    """Events of one test, and sinks that carry them."""
    return Carrying(installation)

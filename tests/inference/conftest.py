"""The model that ships, and what it says of a call."""

import pytest

from tests.support.streams import customer, cut, hear, lines
from undertone.inference.engine import Engine
from undertone.inference.model import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load()


@pytest.fixture(scope="module")
def expected(model: Model) -> list[str]:
    """The call's events, heard in chunks of 500 ms."""
    return lines(hear(Engine(model), cut(*customer(), 4000), batch=1))

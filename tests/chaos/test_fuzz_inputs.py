"""Damaged inputs are read or refused, and nothing else; the fuzzer notices what it looks for."""

import os
from collections.abc import Callable

import pytest

from tests.chaos.fuzz_inputs import KINDS, fuzz


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_read_or_refused(kind: str) -> None:
    outcome = fuzz(*KINDS[kind], inputs=300, seed=3)
    assert outcome.passed, outcome
    assert outcome.refused > 30


def ends_the_process() -> tuple[list[bytes], Callable[[bytes], None]]:
    return [b"data"], lambda _: os._exit(11)


def raises() -> tuple[list[bytes], Callable[[bytes], None]]:
    def read(_: bytes) -> None:
        raise KeyError("a bug")

    return [b"data"], read


def test_the_fuzzer_notices_a_crash() -> None:
    outcome = fuzz(raises, ValueError, inputs=5, seed=1)
    assert (outcome.passed, outcome.crashes) == (False, 5)
    assert "a bug" in outcome.first
    assert fuzz(raises, KeyError, inputs=5, seed=1).passed


def test_the_fuzzer_notices_the_end_of_a_process() -> None:
    outcome = fuzz(ends_the_process, ValueError, inputs=5, seed=1)
    assert (outcome.passed, outcome.exit_status) == (False, 11)

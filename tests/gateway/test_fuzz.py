"""The fuzzers' short forms, and that the fuzzer notices what it looks for."""

import pytest

from tests.gateway.fuzz import TARGETS, fuzz
from tests.gateway.fuzz_target import Target
from undertone.gateway.refusals import MalformedMessage


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_mutated_messages_are_read_or_refused(name: str) -> None:
    outcome = fuzz(TARGETS[name](), 2_000, seed=11)
    assert outcome.crashes == []
    assert outcome.read + sum(outcome.refused.values()) == 2_000
    assert outcome.read > 20, "some stay valid"
    assert outcome.refused["malformed"] > 20, "and many do not"


def test_the_fuzzer_notices_a_crash_and_an_error_of_many_lines() -> None:
    def take(message: bytes) -> None:
        if len(message) % 2:
            raise KeyError("a bug")
        raise MalformedMessage("one\ntwo")

    outcome = fuzz(Target([b"message"], take), 100, seed=1)
    assert any("KeyError" in crash for crash in outcome.crashes)
    assert any("not one line" in crash for crash in outcome.crashes)

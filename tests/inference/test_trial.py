"""A stranger's bundle is tried in a child process: whatever it does there, this process goes on and has one line."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.crafted_networks import calls_itself, crafted, endless_loop, foreign_op, huge_tensor, nothing
from undertone.inference import trial
from undertone.inference.bundle import DEFAULT_BUNDLE
from undertone.inference.trial import Trial


@pytest.mark.parametrize("bundle", [DEFAULT_BUNDLE.read_bytes(), crafted(nothing)], ids=["shipped", "packed again"])
def test_a_good_bundle_passes(bundle: bytes) -> None:
    tried = Trial(bundle)
    assert tried.reason() == ""
    assert tried.done() and not tried.died


@pytest.mark.parametrize(
    ("change", "says", "died"),
    [
        (calls_itself, "ended the process that tried it (SIGSEGV)", True),
        (foreign_op, "unresolved custom op: Strange", False),
        (huge_tensor, "cannot run the network", False),
    ],
    ids=["calls itself", "foreign op", "huge tensor"],
)
def test_a_harmful_network_is_one_line(change: Callable[[Any], None], says: str, died: bool) -> None:
    tried = Trial(crafted(change))
    reason = tried.reason()
    assert says in reason and reason.isprintable()
    assert tried.died == died


@pytest.mark.slow
def test_a_network_without_an_end_is_ended() -> None:
    tried = Trial(crafted(endless_loop), wall_s=15)
    assert tried.reason() == "its trial took longer than 15 s"
    assert tried.died and tried.done()


def test_damage_is_said_as_the_worker_would_say_it() -> None:
    tried = Trial(b"no bundle")
    assert "not a model bundle" in tried.reason()
    assert not tried.died


def test_the_child_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_SASL_PLAIN_PASSWORD", "secret")
    program = "import json, os, sys; print(json.dumps(sorted(os.environ))); sys.exit(3)"
    monkeypatch.setattr(trial, "_COMMAND", (*trial._COMMAND[:1], "-c", program))
    names = Trial(b"").reason()
    assert "PATH" in names and "SASL" not in names, json.dumps(names)

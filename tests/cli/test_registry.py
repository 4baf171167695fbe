"""`undertone models` on a real topic: what it prints, and its one line where something is wrong."""

import pytest
from typer.testing import CliRunner

from schemas.errors import UserError
from tests.support.installation import Installation
from tests.support.service import bundle_of, publish_model
from undertone.cli.main import app
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle

CARD = read_bundle(DEFAULT_BUNDLE).card
SHIPPED, UAR = CARD.version, f"{CARD.metrics['heldout_uar']:.3f}"


@pytest.fixture
def models(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Two versions and one that is none, and the environment of a person at a wide terminal."""
    for version in ("a", "b"):
        publish_model(installation, version, bundle_of(version))
    publish_model(installation, "broken", b"no bundle")
    monkeypatch.setenv("UNDERTONE_BOOTSTRAP_SERVERS", installation.settings.bootstrap_servers)
    monkeypatch.setenv("UNDERTONE_TOPIC_PREFIX", installation.settings.topic_prefix)
    monkeypatch.setenv("COLUMNS", "200")
    return installation


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def rows(text: str) -> dict[str, str]:
    """The lines of the first table by their first word."""
    lines = [line for line in text.splitlines() if line.strip()]
    return {line.split()[0]: line for line in reversed(lines)}


@pytest.mark.usefixtures("models")
def test_what_a_person_sees_from_list_to_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = rows(run("list"))
    assert {SHIPPED, "a", "b", "broken"} <= listed.keys()
    assert "ships" in listed[SHIPPED]
    assert "broken cannot be used: model bundle: not a model bundle" in run("list")
    assert UAR in listed["a"] and "ravdess" in listed["a"]
    assert "workers run the newest bundle" in run("list")

    assert run("promote", "a", "--by", "ann") == "champion: a, before: b\n"
    said = run("list")
    assert "champion" in rows(said)["a"]
    assert "previous" in rows(said)["b"]
    assert "ann" in said and "promote" in said
    shown = run("show", "champion")
    assert "emotions" in shown and "by ann (promote)" in shown
    assert run("show", "a") == shown

    assert run("canary", "b", "--share", "5%", "--by", "eve") == "challenger: b, with 0.05 of the calls\n"
    assert "previous, challenger 5%" in rows(run("list"))["b"] or "challenger 5%, previous" in rows(run("list"))["b"]
    monkeypatch.setenv("COLUMNS", "80")
    narrow = rows(run("list"))
    assert SHIPPED in narrow and UAR in narrow["b"] and UAR in narrow["a"]
    monkeypatch.setenv("COLUMNS", "200")
    assert "challenger 5%" in run("show", "challenger")
    assert run("canary", "--stop") == "stopped: b has no calls any more\n"
    assert "challenger" in rows(run("list"))["b"] and "%" not in rows(run("list"))["b"]

    compared = run("compare", "previous", "champion")
    assert "heldout uar" in compared and "+0" in compared

    assert run("rollback", "--by", "bob") == "champion: b, before: a\n"
    assert run("retire", "a") == "retired: a, no longer previous\n"
    assert "ravdess" not in rows(run("list"))["a"], "it is in the history alone"


@pytest.mark.usefixtures("models")
def test_a_mistake_is_one_line() -> None:
    for words, told in (
        (("show", "nothing"), "nothing is not on models; see `undertone models list`"),
        (("show", "broken"), "broken: model bundle: not a model bundle"),
        (("show", "nowhere.zip"), "nowhere.zip: cannot read the model bundle"),
        (("compare", "a", "challenger"), "no model is the challenger"),
        (("promote", "broken"), "broken cannot be used, and the champion stays: model bundle: not a model bundle"),
        (("canary", "a", "--share", "much"), "--share much: want a share of the calls"),
        (("canary", "a", "--share", "101%"), "--share 101%: want a share of the calls"),
        (("canary", "a"), "which version, and what share"),
        (("canary", "b", "--share", "5%"), "b is the champion"),
        (("canary", "broken", "--share", "5%"), "broken cannot be used, and the champion stays"),
        (("canary", "--stop"), "no canary has calls"),
        (("rollback",), "no previous model to roll back to"),
        (("retire", "b"), "b is what workers run"),
    ):
        with pytest.raises(UserError) as caught:
            CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

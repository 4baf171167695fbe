"""Signatures as an installation asks for them: settings, what is published and promoted, what is signed by hand."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import UserError
from tests.support.installation import Installation
from tests.support.keys import base64_of, private_file
from tests.support.service import bundle_of, publish_model
from undertone.cli.main import app
from undertone.inference.bundle import DEFAULT_BUNDLE, Unsigned, read_bundle
from undertone.inference.signature import private_key, sign
from undertone.registry.changes import promote, publish
from undertone.registry.contents import read_contents
from undertone.registry.signing import SigningSettings, sign_file


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private key, whose public one is asked for."""
    path = private_file(tmp_path)
    monkeypatch.setenv("UNDERTONE_MODEL_PUBLIC_KEY", base64_of(private_key(path).public_key()))
    return path


def test_without_a_key_nothing_is_signed_and_nothing_is_asked_for() -> None:
    settings = SigningSettings.load()
    settings.check(b"anything")
    assert settings.signed(b"anything") == b"anything"


def test_any_of_several_public_keys_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (private_key(private_file(tmp_path, name)) for name in ("old.pem", "new.pem"))
    both = f"{base64_of(old.public_key())}, {base64_of(new.public_key())}"
    monkeypatch.setenv("UNDERTONE_MODEL_PUBLIC_KEY", both)
    for one in (old, new):
        SigningSettings.load().check(sign(bundle_of("a"), one))


@pytest.mark.parametrize("name", ["UNDERTONE_MODEL_PUBLIC_KEY", "UNDERTONE_MODEL_PRIVATE_KEY"])
def test_a_key_that_is_none_is_named_in_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "nowhere.pem")
    with pytest.raises(UserError, match=rf"^{name}: cannot read nowhere.pem") as caught:
        SigningSettings.load()
    assert "\n" not in str(caught.value)


def test_a_bundle_is_signed_by_hand(key: Path, tmp_path: Path) -> None:
    bundle, signed = tmp_path / "model.zip", tmp_path / "signed.zip"
    bundle.write_bytes(bundle_of("a"))
    words = ["models", "sign", str(bundle), "--model-private-key", str(key), "--output", str(signed)]
    assert CliRunner().invoke(app, words, catch_exceptions=False).output == f"signed: {signed}\n"
    SigningSettings.load().check(signed.read_bytes())
    with pytest.raises(Unsigned):
        SigningSettings.load().check(bundle.read_bytes())
    with pytest.raises(UserError, match="no key to sign with"):
        sign_file(bundle)
    with pytest.raises(UserError, match=r"nowhere\.zip: No such file"):
        sign_file(tmp_path / "nowhere.zip", key)


def test_what_is_published_is_signed_and_what_is_not_is_refused(
    installation: Installation, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installation.settings
    publish_model(installation, "theirs", bundle_of("theirs"))
    with pytest.raises(
        UserError, match="theirs cannot be used, and the champion stays: model bundle: it is not signed"
    ):
        promote(settings, "theirs", "ann")
    with pytest.raises(UserError, match="it is not signed"):
        publish(read_bundle(bundle_of("ours")), settings)
    monkeypatch.setenv("UNDERTONE_MODEL_PRIVATE_KEY", str(key))
    publish(read_bundle(bundle_of("ours")), settings)
    assert promote(settings, "ours", "ann").champion == "ours"
    contents = read_contents(settings)
    assert contents.unsigned(contents.find("theirs")) == "model bundle: it is not signed"
    assert contents.unsigned(contents.find("ours")) == ""
    assert contents.in_use().version == "ours"
    # It ships, and needs none.
    assert promote(settings, read_bundle(DEFAULT_BUNDLE).card.version, "ann").before == "ours"

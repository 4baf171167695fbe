"""A signed bundle: what the signature holds for, whose it is, and what reads it without knowing of it."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.errors import UserError
from tests.support.keys import base64_of, pem_of, private_file
from undertone.inference.bundle import (
    CARD,
    DEFAULT_BUNDLE,
    FILTERS,
    NETWORK,
    SIGNATURE,
    Unsigned,
    bundle_bytes,
    parts_of,
    read_bundle,
    zip_of,
)
from undertone.inference.signature import check_signature, private_key, public_key, sign

PLAIN = DEFAULT_BUNDLE.read_bytes()
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SIGNED = sign(PLAIN, KEY)


def test_a_signature_changes_nothing_else() -> None:
    assert replace(read_bundle(SIGNED), origin="") == replace(read_bundle(PLAIN), origin="")
    parts = parts_of(SIGNED)
    assert len(parts.pop(SIGNATURE)) == 64
    assert parts == parts_of(PLAIN)
    # What a reader of before does: the three files, by their names.
    with zipfile.ZipFile(io.BytesIO(SIGNED)) as archive:
        assert set(archive.namelist()) == {CARD, NETWORK, FILTERS, SIGNATURE}


def test_one_of_the_trusted_keys_is_enough() -> None:
    check_signature(SIGNED, [KEY.public_key()])
    check_signature(SIGNED, [OTHER.public_key(), KEY.public_key()])
    check_signature(sign(SIGNED, OTHER), [OTHER.public_key()])  # signed anew


def other_card() -> bytes:
    bundle = read_bundle(PLAIN)
    changed = replace(bundle, card=bundle.card.model_copy(update={"version": "other"}))
    return zip_of(parts_of(bundle_bytes(changed)) | {SIGNATURE: parts_of(SIGNED)[SIGNATURE]})


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (PLAIN, "not signed"),
        (sign(PLAIN, OTHER), "not one of a trusted key"),
        (other_card(), "not one of a trusted key"),
        (zip_of(parts_of(PLAIN) | {SIGNATURE: b"short"}), "not one of a trusted key"),
        (zip_of(parts_of(PLAIN) | {SIGNATURE: bytes(64)}), "not one of a trusted key"),
    ],
    ids=["none", "another's", "another card", "short", "zeros"],
)
def test_what_is_not_signed_as_it_must_be_is_refused(bundle: bytes, why: str) -> None:
    with pytest.raises(Unsigned, match=why):
        check_signature(bundle, [KEY.public_key()])


def test_the_card_holds_network_and_filters_to_what_was_signed() -> None:
    for name in (NETWORK, FILTERS):
        flipped = bytearray(parts_of(SIGNED)[name])
        flipped[len(flipped) // 2] ^= 1
        with pytest.raises(UserError, match="does not match the card's sha256"):
            read_bundle(zip_of(parts_of(SIGNED) | {name: bytes(flipped)}))


def test_nothing_is_signed_that_no_worker_would_take() -> None:
    with pytest.raises(UserError, match="not a model bundle"):
        sign(b"no bundle", KEY)


def test_a_public_key_is_given_as_pem_as_a_file_or_as_base64(tmp_path: Path) -> None:
    key = private_key(private_file(tmp_path)).public_key()
    file = tmp_path / "key.pub.pem"
    file.write_text(pem_of(key))
    for text in (pem_of(key), str(file), base64_of(key)):
        assert public_key(text) == key


def test_what_is_no_key_is_told_in_one_line(tmp_path: Path) -> None:
    x25519 = X25519PrivateKey.generate().public_key()
    of_another_kind = x25519.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    (tmp_path / "text.pem").write_text("hello")
    for text, why in (
        ("nowhere.pem", "cannot read nowhere.pem"),
        (str(tmp_path / "text.pem"), "neither PEM"),
        (of_another_kind, "not an Ed25519 key"),
    ):
        with pytest.raises(ValueError, match=why):
            public_key(text)
    with pytest.raises(ValueError, match="holds no private key"):
        private_key(tmp_path / "text.pem")

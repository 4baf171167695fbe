"""Who made a bundle: an Ed25519 signature of its card, in the bundle itself.

The card names the network and the filters by their sha256, and `read_bundle` holds them to it. So a signature of the
card's bytes is one of all that a worker uses, and it stays with the bundle wherever that is copied to.
"""

import base64
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from undertone.inference.bundle import CARD, SIGNATURE, Unsigned, parts_of, read_bundle, zip_of

# What is signed begins with this: a signature of ours is good for no other protocol, nor one of theirs for us.
_CONTEXT = b"undertone model card v1\n"


def check_signature(bundle: bytes, keys: Sequence[Ed25519PublicKey]) -> None:
    """Hold a bundle to the signature of one of `keys`.

    Raises:
        Unsigned: it has none, or another.
        UserError: it is no bundle.
    """
    parts = parts_of(bundle)
    signature = parts.get(SIGNATURE)
    if signature is None:
        raise Unsigned("model bundle: it is not signed")
    for key in keys:
        try:
            key.verify(signature, _CONTEXT + parts[CARD])
        except InvalidSignature:
            continue
        return
    raise Unsigned("model bundle: its signature is not one of a trusted key")


def sign(bundle: bytes, key: Ed25519PrivateKey) -> bytes:
    """The bundle with a signature, in place of the one that it may have.

    Raises:
        UserError: it is no bundle.
    """
    read_bundle(bundle)  # nothing is signed that no worker would take
    parts = parts_of(bundle)
    return zip_of(parts | {SIGNATURE: key.sign(_CONTEXT + parts[CARD])})


def public_key(text: str) -> Ed25519PublicKey:
    """A public key: PEM, the name of a PEM file, or its 32 bytes in base64.

    Raises:
        ValueError: it is none of these; one line.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if len(raw) == 32:
        return Ed25519PublicKey.from_public_bytes(raw)
    pem = text.encode() if "BEGIN" in text else _read(Path(text))
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("neither PEM, nor a PEM file, nor 32 bytes in base64") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return key


def private_key(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file, without a password.

    Raises:
        ValueError: the file cannot be read or is none; one line, nothing of the key in it.
    """
    pem = _read(path)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{path} holds no private key without a password in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path.name[:80]} ({error.strerror})") from None

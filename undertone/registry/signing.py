"""Which signatures this installation asks for, and the key that it signs with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, field_validator

from schemas.errors import UserError
from undertone.messaging.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class SigningSettings(Settings):
    """The keys of bundles. Where neither is set nothing is signed and nothing is asked for."""

    model_public_key: str | None = None
    """Who may have made a bundle of `models`: PEM, a PEM file, or base64; several after commas."""
    model_private_key: Path | None = None
    """A PEM file: what is published from here is signed with it."""
    # Read once: a file that goes away later stops no worker.
    _keys: list[Any] = PrivateAttr(default_factory=list)

    @field_validator("model_public_key")
    @classmethod
    def _are_keys(cls, text: str | None) -> str | None:
        _public_keys(text)
        return text

    @field_validator("model_private_key")
    @classmethod
    def _is_a_key(cls, path: Path | None) -> Path | None:
        if path:
            from undertone.inference.signature import private_key  # noqa: PLC0415  only where a key is set

            private_key(path)
        return path

    def model_post_init(self, _context: Any) -> None:
        """Read the public keys."""
        self._keys = _public_keys(self.model_public_key)

    def check(self, bundle: bytes) -> None:
        """Hold a bundle to the public keys, where there are any.

        Raises:
            Unsigned: it is not signed, or by nobody that is trusted.
            UserError: it is no bundle.
        """
        if self._keys:
            from undertone.inference.signature import check_signature  # noqa: PLC0415  only where a key is set

            check_signature(bundle, self._keys)

    def signed(self, bundle: bytes) -> bytes:
        """The bundle, signed where there is a private key.

        Raises:
            UserError: it is no bundle, or the key is gone.
        """
        if self.model_private_key is None:
            return bundle
        from undertone.inference.signature import private_key, sign  # noqa: PLC0415  only where a key is set

        try:
            return sign(bundle, private_key(self.model_private_key))
        except ValueError as error:
            raise UserError(str(error)) from None


def sign_file(bundle: Path, key: Path | None = None, output: Path | None = None) -> Path:
    """Sign a bundle's file with a key, or with that of the settings; where the signed one lies.

    Raises:
        UserError: no key, no bundle, or a file that cannot be read or written.
    """
    settings = SigningSettings.load(model_private_key=key)
    if settings.model_private_key is None:
        raise UserError("no key to sign with: give --model-private-key, or set UNDERTONE_MODEL_PRIVATE_KEY")
    target = output or bundle
    try:
        signed = settings.signed(bundle.read_bytes())
        partial = target.with_name(f"{target.name}.part")  # a crash in the middle leaves the bundle as it was
        partial.write_bytes(signed)
        partial.replace(target)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    return target


def _public_keys(text: str | None) -> list[Ed25519PublicKey]:
    if not text:
        return []
    from undertone.inference.signature import public_key  # noqa: PLC0415  only where a key is set

    return [public_key(key.strip()) for key in text.split(",")]

"""Signed requests as Standard Webhooks has them: libraries of most languages can check them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import time

from schemas.errors import UserError

_PREFIX = "whsec_"


class Signer:
    """Signs with one secret or, while one is replaced by another, with several that spaces separate.

    `variable` is where people set them.
    """

    def __init__(self, secrets: str, variable: str) -> None:
        self._keys = [_key(secret, variable) for secret in secrets.split()]
        if not self._keys:
            raise UserError(
                f"what are requests to be signed with? Set {variable};"
                " whsec_$(openssl rand -base64 32) makes a good one"
            )

    def headers(self, identity: str, body: bytes, now: float | None = None) -> dict[str, str]:
        """Id, time and signature of a request."""
        seconds = str(int(time.time() if now is None else now))
        signed = f"{identity}.{seconds}.".encode() + body
        digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in self._keys)
        return {
            "webhook-id": identity,
            "webhook-timestamp": seconds,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        }


def _key(secret: str, variable: str) -> bytes:
    """`whsec_` and base64, as the specification has it, or else the text itself."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise UserError(f"{variable}: what follows whsec_ must be base64") from None

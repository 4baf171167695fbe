"""Who may send calls by AudioHook: an API key, and a signature over the handshake (RFC 9421, HMAC-SHA256).

A signature counts once and for a short time only. Nonces are kept in memory as long as their signature would be young
enough, and only those of valid signatures, so that a stranger cannot fill the memory.
"""

import heapq
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
)
from http_message_signatures.algorithms import HMAC_SHA256
from websockets.http11 import Request

from schemas.errors import one_line

# All that AudioHook signs: a signature over less would let the rest be exchanged.
_COVERED = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)
# Clocks that differ by a few seconds are usual, and AudioHook's reference server allows three.
_CLOCK_SKEW_S = 3


class Unauthorized(Exception):
    """The handshake shows no right to send calls: one line that says why."""


class _Headers(tuple[tuple[str, str], ...]):
    """Header lines in the order in which they came, as the library reads them."""

    __slots__ = ()

    def items(self) -> tuple[tuple[str, str], ...]:
        return self


@dataclass(frozen=True, slots=True)
class Handshake:
    """The request that opened the WebSocket, as the client signed it."""

    request_target: str
    authority: str
    scheme: str
    header_lines: tuple[tuple[str, str], ...]

    method = "GET"

    @classmethod
    def of(cls, request: Request, public_url: str | None, *, tls: bool) -> Self:
        """A request as the client sent it: behind a proxy that is by the public URL, with or without our path in it."""
        public = urlsplit(public_url or "")
        before = public.path.rstrip("/").removesuffix(urlsplit(request.path).path)
        scheme = {"wss": "https", "ws": "http"}.get(public.scheme, public.scheme)
        return cls(
            request_target=before + request.path,
            authority=public.netloc or ", ".join(request.headers.get_all("host")),
            scheme=scheme or ("https" if tls else "http"),
            header_lines=tuple(request.headers.raw_items()),
        )

    @property
    def url(self) -> str:
        """A URL with the authority in it; what stands behind is in `request_target`."""
        return f"{self.scheme}://{self.authority}/"

    @property
    def headers(self) -> _Headers:
        """The header lines."""
        return _Headers(self.header_lines)

    def header(self, name: str) -> str | None:
        """The value of a header that comes once; None where it is missing or comes twice."""
        values = [value for key, value in self.header_lines if key.lower() == name]
        return values[0].strip() if len(values) == 1 else None


def _same(key: str, known: str) -> bool:
    # What is no ASCII in a header stands there as surrogates.
    return hmac.compare_digest(key.encode(errors="surrogateescape"), known.encode(errors="surrogateescape"))


class _Verifier(HTTPMessageVerifier):
    """The library's verifier; how young a signature must be is said here."""

    def __init__(self, secrets: Mapping[str, bytes], max_age_s: float, clock: Callable[[], float]) -> None:
        keys = MappingKeyResolver(public_keys=secrets, private_keys={})
        super().__init__(signature_algorithm=HMAC_SHA256, key_resolver=keys)
        self._max_age_s, self._clock = max_age_s, clock

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:
        """Let pass what was made a moment ago and has not expired."""
        created, expires, now = sig_input.params.get("created"), sig_input.params.get("expires"), self._clock()
        if created is None:
            raise InvalidSignature("it does not say when it was made")
        if not created - _CLOCK_SKEW_S <= now <= created + self._max_age_s + _CLOCK_SKEW_S:
            raise InvalidSignature(f"made {now - created:.0f} s ago, want {self._max_age_s:g} s at most")
        if expires is not None and expires + _CLOCK_SKEW_S < now:
            raise InvalidSignature("it has expired")


class SignatureCheck:
    """Checks handshakes against the keys that are known. An empty secret: the key alone lets its owner in."""

    def __init__(
        self, secrets: Mapping[str, bytes], max_age_s: float = 10, clock: Callable[[], float] = time.time
    ) -> None:
        self._unsigned = [key for key, secret in secrets.items() if not secret]
        self._verifier = _Verifier({key: secret for key, secret in secrets.items() if secret}, max_age_s, clock)
        self._keep_s, self._clock = max_age_s + _CLOCK_SKEW_S, clock
        self._nonces: set[str] = set()
        self._forget: list[tuple[float, str]] = []

    def check(self, handshake: Handshake) -> None:
        """Let a handshake pass.

        Raises:
            Unauthorized: no known API key, or no signature of it that is valid, young and new.
        """
        key = handshake.header("x-api-key")
        if key is None:
            raise Unauthorized("no X-API-KEY header")
        # Every one is compared: the time must not tell how much of a key is right.
        if sum(_same(key, known) for known in self._unsigned):
            return
        try:
            (result,) = self._verifier.verify(handshake, require_components=_COVERED)
        except HTTPMessageSignaturesException as error:
            raise Unauthorized(f"the signature is not valid: {one_line(error, 100)}") from None
        if not _same(str(result.parameters["keyid"]), key):
            raise Unauthorized("the signature is of another API key")
        self._use(result.nonce, int(result.parameters["created"]))

    def _use(self, nonce: str | None, created: int) -> None:
        now = self._clock()
        while self._forget and self._forget[0][0] < now:
            self._nonces.discard(heapq.heappop(self._forget)[1])
        if not nonce:
            raise Unauthorized("the signature has no nonce")
        if nonce in self._nonces:
            raise Unauthorized("the signature was used before")
        self._nonces.add(nonce)
        heapq.heappush(self._forget, (created + self._keep_s, nonce))

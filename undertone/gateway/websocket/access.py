"""Who may connect: tokens, signed URLs, and the pages that may use a microphone."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

from websockets.http11 import Request

from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.settings import GatewaySettings


def query_of(request: Request) -> Mapping[str, str]:
    """The parameters of a request's URL; of equal names the last holds."""
    return dict(parse_qsl(urlsplit(request.path).query, keep_blank_values=True))


def require_token(request: Request, settings: GatewaySettings, said: str | None = None) -> None:
    """Let a request pass that shows one of the tokens: as a header, in the URL, or `said` in a message.

    Raises:
        Refused: tokens are set, and it shows none of them.
    """
    if settings.token_list and not any(list(map(settings.token_fits, _tokens(request, said)))):
        raise Refused(Refusal.UNAUTHORIZED, "a token is needed, and the one given, if any, is not it")


def _tokens(request: Request, said: str | None) -> Iterator[str]:
    for header in request.headers.get_all("Authorization"):
        scheme, _, credentials = header.strip().partition(" ")
        if scheme.lower() == "bearer":
            yield credentials.strip()
        elif scheme.lower() == "basic":
            yield _password(credentials)
    yield query_of(request).get("token", "")
    yield said or ""


def _password(credentials: str) -> str:
    """The password of HTTP's basic authentication, `user:password` in base64."""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def require_signature(request: Request, public_url: str | None, header: str, secret: str) -> None:
    """Let a request pass that is signed as Twilio signs: HMAC-SHA1 over the URL that it was told, in base64.

    Raises:
        Refused: it is not signed, or over another URL (a slash at its end makes it another), or with another secret.
    """
    given = "".join(request.headers.get_all(header)[:1]).encode(errors="replace")
    fits = [hmac.compare_digest(given, signature(url, secret).encode()) for url in _urls(request, public_url)]
    if not any(fits):
        raise Refused(Refusal.UNAUTHORIZED, f"{header} does not sign this URL: is the public URL set as it is called?")


def signature(url: str, secret: str) -> str:
    """What stands in X-Twilio-Signature for a URL, where a WebSocket is opened."""
    return base64.b64encode(hmac.digest(secret.encode(), url.encode(errors="replace"), hashlib.sha1)).decode()


def _urls(request: Request, public_url: str | None) -> set[str]:
    """How the other side may have called us: by the public URL, or by the host that it names."""
    if public_url:
        # It may be given with the path, and as the page that it would be.
        base = public_url.rstrip("/").removesuffix(urlsplit(request.path).path)
        bases = ["ws" + base.removeprefix("http") if base.startswith("http") else base]
    else:
        # Whether TLS ended at a proxy before us is not known here.
        bases = [f"{scheme}://{host}" for host in request.headers.get_all("Host")[:1] for scheme in ("wss", "ws")]
    # Twilio's own library tries a URL without its port, too, for not every signature is made over it.
    return {base + request.path for base in bases} | {re.sub(r":\d+$", "", base) + request.path for base in bases}


def require_origin(request: Request, settings: GatewaySettings) -> None:
    """Let a page pass that came from this host, or from one that is allowed; who is no browser names no origin.

    Raises:
        Refused: another site's page wants to listen with its visitors' microphones.
    """
    for origin in request.headers.get_all("Origin"):
        own = {host.lower() for host in request.headers.get_all("Host")}
        if settings.public_url:
            own.add(urlsplit(settings.public_url).netloc.lower())
        allowed = {name.strip().rstrip("/").lower() for name in settings.allowed_origins.split(",")} - {""}
        if urlsplit(origin).netloc.lower() not in own - {""} and origin.rstrip("/").lower() not in allowed:
            raise Refused(Refusal.UNAUTHORIZED, "UNDERTONE_GATEWAY_ALLOWED_ORIGINS lacks the origin of this page")

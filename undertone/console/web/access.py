"""Who may ask for what: host names, other sites' pages, the login, and the headers of every answer."""

import hashlib
import hmac
import ipaddress
import re
import time
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.settings import ConsoleSettings

_SESSION_S = 12 * 3600
# Nothing from elsewhere, nothing inline, and in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")
# What somebody sees who has not logged in: the form, and what it looks like.
_OPEN = ("/login", "/static/style.css", "/static/icon.svg")


class Sessions:
    """Cookies of those who have logged in: an end and a signature, so that nothing has to be kept."""

    def __init__(self, secret: str) -> None:
        self.wanted = bool(secret)
        self._secret = secret.encode()

    def fits(self, token: str) -> bool:
        """Whether this is the token; the time that it takes tells nothing."""
        return hmac.compare_digest(token.encode(errors="replace"), self._secret)

    def begin(self, request: HTTPConnection, response: Response) -> None:
        """Give the browser a session; where a proxy says that it speaks TLS, for TLS alone."""
        secure = request.headers.get("x-forwarded-proto") == "https"
        end = str(int(time.time()) + _SESSION_S)
        value = f"{end}.{self._signature(end)}"
        response.set_cookie(_cookie(request), value, max_age=_SESSION_S, httponly=True, samesite="lax", secure=secure)

    def holds(self, request: HTTPConnection) -> bool:
        """Whether a request may be answered: nobody has to log in, it has a session, or it shows the token."""
        if not self.wanted:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.fits(token.strip()):
            return True
        end, _, signature = request.cookies.get(_cookie(request), "").partition(".")
        fits = hmac.compare_digest(signature.encode(errors="replace"), self._signature(end).encode())
        return fits and end.isdecimal() and int(end) > time.time()

    def _signature(self, end: str) -> str:
        return hmac.digest(self._secret, f"undertone console until {end}".encode(), hashlib.sha256).hex()


class Access:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings, sessions: Sessions, metrics: ConsoleMetrics) -> None:
        self._app = app
        self._names = settings.host_names
        self._sessions = sessions
        self._refused = metrics.refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            return
        request = HTTPConnection(scope)

        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(request) or self._app
        await answer(scope, receive, send_protected)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        # Not request.url: that is put together with the Host header, which a stranger chooses.
        path = request.scope["path"]
        if not self._is_ours(request.headers.getlist("host")):
            self._refused.labels("host").inc()
            return PlainTextResponse("this host is not known here: see UNDERTONE_CONSOLE_ALLOWED_HOSTS\n", 421)
        if _from_another_site(request):
            self._refused.labels("site").inc()
            return PlainTextResponse("no requests from pages of other sites\n", 403)
        if path in _OPEN or self._sessions.holds(request):
            return None
        self._refused.labels("login").inc()
        if path.startswith(("/api/", "/static/")):
            return PlainTextResponse("log in first\n", 401)
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(f"/login?{urlencode({'next': f'{path}?{query}'.rstrip('?')})}", 303)

    def _is_ours(self, hosts: list[str]) -> bool:
        """A page of another site can have its name point to us, but not an address."""
        if len(hosts) != 1:
            return False
        match = _HOST.fullmatch(hosts[0])
        if match is None:
            return False
        if (match["name"] or "").lower() in self._names:
            return True
        try:
            ipaddress.ip_address(match["six"] or match["name"])
        except ValueError:
            return False
        return True


def _cookie(request: HTTPConnection) -> str:
    """Browsers keep cookies by host: two consoles of one host would end each other's sessions under one name."""
    return f"undertone_console_{request.scope['server'][1]}"


def _from_another_site(request: HTTPConnection) -> bool:
    """Whether a page of another site asks. A link to one of our pages may stand anywhere."""
    headers, reads = request.headers, request.scope["method"] in ("GET", "HEAD")
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return not (reads and link and not request.scope["path"].startswith("/api/"))
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()

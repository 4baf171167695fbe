"""Who may ask for what: host names, other sites' pages, the login, and the headers of every answer."""

import hashlib
import hmac
import ipaddress
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.proxy import Proxy
from undertone.console.web.roles import Person, Role
from undertone.console.web.settings import ConsoleSettings

Endpoint = Callable[[Request], Awaitable[Response]]

PERMISSIONS = "Permissions-Policy"
_SESSION_S = 12 * 3600
# Nothing from elsewhere, nothing inline, and in nobody's frame.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    PERMISSIONS: "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    # Not no-referrer: a browser would hide from us, too, whose page sends the login.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")
# What somebody sees who has not logged in: the form, and what it looks like.
_OPEN = ("/login", "/static/style.css", "/static/icon.svg")


class Sessions:
    """Who asks, by token, by what a proxy says, or by cookie.

    A cookie says until when, which role and who, and is signed with the role's token: nothing has to be kept, and
    another token ends the sessions that were begun with the one before.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        self._tokens = settings.tokens
        self._open_to_all = settings.open_to_all
        self._proxy = Proxy(settings)
        self._anybody = Person(Role.OPERATE, settings.labelled_by)
        self._nameless = settings.labelled_by

    @property
    def by_token(self) -> bool:
        """Whether somebody can log in here."""
        return bool(self._tokens)

    def role_of(self, token: str) -> Role | None:
        """The role that a token gives; the time that it takes tells nothing."""
        given = token.encode(errors="replace")
        fitting = [role for role, known in self._tokens.items() if hmac.compare_digest(given, known.encode())]
        return fitting[0] if fitting else None

    def begin(self, request: HTTPConnection, response: Response, role: Role, name: str) -> None:
        """Give the browser a session; where a proxy says that it speaks TLS, for TLS alone."""
        secure = request.headers.get("x-forwarded-proto") == "https"
        said = f"{int(time.time()) + _SESSION_S}.{role.name.lower()}.{urlsafe_b64encode(name.encode()).decode()}"
        value = f"{said}.{self._signature(role, said)}"
        response.set_cookie(_cookie(request), value, max_age=_SESSION_S, httponly=True, samesite="lax", secure=secure)

    def who(self, request: HTTPConnection) -> Person | None:
        """Who asks; None for somebody who has to log in first."""
        if self._open_to_all:
            return self._anybody
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and (role := self.role_of(token.strip())):
            return Person(role, self._nameless)
        return self._proxy.who(request) or self._session(request.cookies.get(_cookie(request), ""))

    def _session(self, cookie: str) -> Person | None:
        said, _, signature = cookie.rpartition(".")
        end, _, rest = said.partition(".")
        role = Role.__members__.get(rest.partition(".")[0].upper())
        if role is None or role not in self._tokens:
            return None
        fits = hmac.compare_digest(signature.encode(errors="replace"), self._signature(role, said).encode())
        if not fits or int(end) <= time.time():
            return None
        # What is signed is as we wrote it.
        name = urlsafe_b64decode(rest.partition(".")[2]).decode()
        return Person(role, name or self._nameless)

    def _signature(self, role: Role, said: str) -> str:
        return hmac.digest(self._tokens[role].encode(), f"undertone console {said}".encode(), hashlib.sha256).hex()


def needs(role: Role, endpoint: Endpoint, metrics: ConsoleMetrics) -> Endpoint:
    """The endpoint, for who has this role or a greater one."""

    async def answer(request: Request) -> Response:
        if request.user.role < role:
            metrics.refused.labels("role").inc()
            return PlainTextResponse(f"this needs the role {role.name.lower()}\n", 403)
        return await endpoint(request)

    return answer


class Access:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings, sessions: Sessions, metrics: ConsoleMetrics) -> None:
        self._app = app
        self._names = settings.host_names
        self._sessions = sessions
        self._refused = metrics.refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            return
        request = HTTPConnection(scope)

        async def send_protected(message: Message) -> None:
            # A WebSocket that is refused is answered by HTTP, too.
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
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
        person = self._sessions.who(request)
        if person is not None:
            request.scope["user"] = person
        if person is not None or path in _OPEN:
            return None
        self._refused.labels("login").inc()
        if path.startswith(("/api/", "/static/")):
            return PlainTextResponse("log in first\n", 401)
        if not self._sessions.by_token:
            # Here it would be of no use to be asked for a token.
            return PlainTextResponse("nobody may look who does not come by way of the proxy\n", 401)
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
    # A WebSocket has no method, and is never a link.
    headers, reads = request.headers, request.scope.get("method") in ("GET", "HEAD")
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return not (reads and link and not request.scope["path"].startswith("/api/"))
    origin = headers.get("origin")
    return origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower()

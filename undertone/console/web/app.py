"""The console's addresses: its pages, the files they need, the events, and the login."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from undertone.console.web.access import PERMISSIONS, Access, Sessions
from undertone.console.web.audit import Audit
from undertone.console.web.bodies import body_of
from undertone.console.web.entries import positions_of
from undertone.console.web.figures import Figures
from undertone.console.web.hub import Hub
from undertone.console.web.kept import Kept
from undertone.console.web.known import Known
from undertone.console.web.labelling import Labelling
from undertone.console.web.labels import Labels
from undertone.console.web.listening import Listening
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.microphones import Microphones
from undertone.console.web.models import Models
from undertone.console.web.proxy import printable
from undertone.console.web.roles import Role
from undertone.console.web.settings import ConsoleSettings
from undertone.console.web.sound import Sounds
from undertone.console.web.stretches import StretchLabels
from undertone.console.web.trying import Forgetting, Trying
from undertone.console.web.voices import Everybody
from undertone.console.web.worth import Worth

_PAGE = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# A page that takes nothing for so long is closed; when it comes back it gets what it missed.
_SEND_S = 20.0
# Address -> file.
_PAGES = {
    "/": "now.html",
    "/worth": "worth.html",
    "/rules": "rules.html",
    "/history": "history.html",
    "/model": "model.html",
    "/figures": "figures.html",
}
# Where somebody may be sent who has logged in: to nobody else's page.
_NAMES = "|".join(page[1:] for page in (*_PAGES, "/try"))
_OWN_PAGE = re.compile(rf"/({_NAMES}|calls/[\w.:@+%-]+)?(\?[\w.:@+%&=*-]*)?", re.ASCII)
# A wrong token costs its sender this long, and so many may be tried at once.
_WRONG_S, _TRIES = 0.5, 4

_log = logging.getLogger(__name__)


class _File:
    """One of the page's files, in memory: a path in a request never becomes one of the disk's."""

    def __init__(self, path: Path) -> None:
        self.body = path.read_bytes()
        self.type = f"{_TYPES[path.suffix]}; charset=utf-8"
        self.tag = f'"{sha256(self.body).hexdigest()[:16]}"'

    def answer(self, request: Request) -> Response:
        headers = {"ETag": self.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.type)


def application(
    settings: ConsoleSettings,
    hub: Hub,
    sounds: Sounds,
    labels: Labels,
    trying: tuple[Microphones, Forgetting],
    metrics: ConsoleMetrics,
    rest: tuple[Kept, Models],
) -> Starlette:
    """The console as an ASGI application."""
    sessions, audit = Sessions(settings), Audit()
    kept, models = rest
    files = {path.name: _File(path) for path in sorted(_PAGE.iterdir())}
    known, everybody = Known(hub, kept.history), Everybody(labels, kept.history.store)
    console = _Console(settings, hub, sessions, files, metrics, known)
    return Starlette(
        routes=[
            *(Route(address, console.page(name)) for address, name in _PAGES.items()),
            Route("/calls/{call_id}", console.page("call.html")),
            Route("/static/{name}", console.static),
            Route("/login", console.login, methods=["GET", "POST"]),
            Route("/api/events", console.events),
            Route("/api/me", console.me),
            *Listening(known, sounds, audit, metrics).routes,
            *Labelling(labels, everybody, StretchLabels(known, sounds, labels), audit, metrics).routes,
            *kept.routes,
            *models.routes(audit),
            *Figures(settings.prometheus).routes,
            *Worth(hub, everybody, metrics).routes,
            *(_trying(console, Trying(*trying, audit, metrics)) if settings.microphones else ()),
        ],
        middleware=[Middleware(Access, settings=settings, sessions=sessions, metrics=metrics)],
    )


def _trying(console: "_Console", trying: Trying) -> list[BaseRoute]:
    """The page that may ask for a microphone, and where it sends what it hears."""
    may = {PERMISSIONS: "camera=(), microphone=(self), geolocation=()"}
    return [Route("/try", console.page("try.html", may)), *trying.routes]


class _Events(EventSourceResponse):
    def __init__(self, stream: AsyncIterator[ServerSentEvent], metrics: ConsoleMetrics) -> None:
        # ping=0: the stream says something itself at least every few seconds.
        super().__init__(stream, ping=0, send_timeout=_SEND_S)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the page leaves; one that takes nothing is closed, which is no fault of ours."""
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            self._metrics.closed_pages.labels("took_nothing").inc()
            _log.info("a page took nothing for %.0f s: it is closed", _SEND_S)


class _Console:
    def __init__(
        self,
        settings: ConsoleSettings,
        hub: Hub,
        sessions: Sessions,
        files: Mapping[str, _File],
        metrics: ConsoleMetrics,
        known: Known,
    ) -> None:
        self._known = known
        self._settings = settings
        self._hub = hub
        self._sessions = sessions
        self._files = files
        self._metrics = metrics
        self._tries = asyncio.Semaphore(_TRIES)

    def page(self, name: str, headers: Mapping[str, str] | None = None) -> Callable[[Request], Awaitable[Response]]:
        """One of the pages, with headers of its own."""

        async def answer(request: Request) -> Response:
            response = self._files[name].answer(request)
            response.headers.update(headers or {})
            return response

        return answer

    async def static(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None or file.type.startswith("text/html"):
            raise HTTPException(404)
        return file.answer(request)

    async def events(self, request: Request) -> Response:
        if len(self._hub.readers) >= self._settings.max_readers:
            self._metrics.pages.labels("refused").inc()
            return PlainTextResponse("as many pages are open as may be: UNDERTONE_CONSOLE_MAX_READERS\n", 503)
        # A browser that connects anew by itself sends the header; a page that does it by hand can set no header.
        stood = request.headers.get("last-event-id") or request.query_params.get("after")
        call = request.query_params.get("call")
        stream = self._hub.stream(positions_of(stood), call, await self._known.older(call) if call else ())
        return _Events(stream, self._metrics)

    async def me(self, request: Request) -> Response:
        """Who the console takes somebody for, and so what a page offers."""
        person = request.user
        may = [role.name.lower() for role in Role if role <= person.role]
        more = {"emotions": self._hub.emotions, "microphones": self._settings.microphones}
        return JSONResponse({"name": person.name, "may": may} | more)

    async def login(self, request: Request) -> Response:
        if request.method != "POST":
            return self._files["wrong.html" if "wrong" in request.query_params else "login.html"].answer(request)
        body = await body_of(request)
        form = parse_qs(body.decode(errors="replace"))
        role = self._sessions.role_of(form.get("token", [""])[0])
        # Who guesses is held back: eight tokens a second, whoever asks.
        if self._tries.locked():
            return PlainTextResponse("too many try to log in at once\n", 429)
        asked = request.query_params.get("next", "/")
        wanted = asked if _OWN_PAGE.fullmatch(asked) else "/"
        if role is None:
            self._metrics.refused.labels("token").inc()
            async with self._tries:
                await asyncio.sleep(_WRONG_S)
            return RedirectResponse(f"/login?{urlencode({'wrong': 1, 'next': wanted})}", 303)
        response = RedirectResponse(wanted, 303)
        self._sessions.begin(request, response, role, printable(form.get("name", [""])[0]))
        return response

"""What the console keeps beyond its memory, in a folder of its own: its history, and what rules have found."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from schemas.errors import UserError
from schemas.topics import Topics
from undertone.console.web.database import held
from undertone.console.web.history.service import History
from undertone.console.web.hub import Hub
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.rules.file import Rules, read_rules
from undertone.console.web.rules.service import RuleService
from undertone.console.web.settings import ConsoleSettings
from undertone.messaging.settings import KafkaSettings
from undertone.webhooks.signature import Signer

_log = logging.getLogger(__name__)


class Kept:
    """Opened before the console serves, started in its event loop."""

    def __init__(self, settings: ConsoleSettings, rules: Rules | None, folder: Path | None) -> None:
        secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else ""
        self._signer = Signer(secret, "UNDERTONE_CONSOLE_WEBHOOK_SECRET") if rules and rules.urls else None
        self._file = rules
        self._folder = folder
        self._rules: RuleService | None = None
        self.history = History(folder, settings.history_mb * 1024 * 1024)
        self.routes = [Route("/api/rules", self._list_rules), *self.history.routes]

    @property
    def alive(self) -> bool:
        """Whether all of it runs."""
        return self.history.alive and (self._rules is None or self._rules.alive)

    @property
    def away(self) -> str:
        """Why rules do not look at events now, which is what somebody may rely on; empty where they do."""
        return self._rules.away if self._rules else ""

    @property
    def started(self) -> bool:
        """Whether all that comes from now on is looked at."""
        return self._rules is None or self._rules.started

    def start(self, kafka: KafkaSettings, topics: Topics, hub: Hub, metrics: ConsoleMetrics) -> None:
        """Begin to read."""
        self.history.start(kafka, topics, partial(self._forget, hub))
        if self._file and self._folder:
            where = self._folder, kafka, topics.emotion_events.name
            self._rules = RuleService(self._file, self._signer, where, metrics, hub.tell)
            self._rules.start()

    async def stop(self) -> None:
        """End."""
        if self._rules:
            await self._rules.stop()
        await asyncio.to_thread(self.history.stop)

    def _forget(self, hub: Hub, call: str, at_ms: int) -> None:
        hub.forget_soon(call, at_ms)
        if self._rules:
            self._rules.forget(call, at_ms)

    async def _list_rules(self, request: Request) -> Response:
        if self._rules is None:
            return JSONResponse({"rules": [], "alerts": [], "away": ""})
        return JSONResponse(await asyncio.to_thread(self._rules.listed, request.query_params.get("call")))


@contextlib.contextmanager
def keeping(settings: ConsoleSettings) -> Iterator[Kept]:
    """What there is to keep, with the folder for it.

    Raises:
        UserError: the file of rules is wrong, no secret to sign alerts with, or no folder.
    """
    rules = read_rules(settings.rules) if settings.rules else None
    with contextlib.ExitStack() as stack:
        folder = None
        try:
            folder = stack.enter_context(held(settings.folder))
        except UserError as error:
            if rules:
                raise
            _log.warning("%s; until then the history is read anew at each start", error)
        yield Kept(settings, rules, folder)

"""The models that the registry has, for people to see, and the champion's change for who may."""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schemas.aliases import Alias
from schemas.errors import UserError
from undertone.console.web.access import needs
from undertone.console.web.audit import Audit
from undertone.console.web.bodies import json_of
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.reports import HEADERS, Reports
from undertone.console.web.roles import Role
from undertone.messaging.clients import KafkaAway
from undertone.messaging.settings import KafkaSettings
from undertone.registry.changes import Moved, promote, rollback
from undertone.registry.contents import Contents, Entry, read_contents

# The whole topic is read for it, some MB; many who look at once read it once.
_FRESH_S = 5.0
_CHANGES = 20
_log = logging.getLogger(__name__)


class _Version(BaseModel):
    """What a page sends. `champion` is what it took for the champion: nobody changes what they have not seen."""

    model_config = ConfigDict(extra="forbid")

    version: str | None = Field(None, max_length=64)
    champion: str = Field(max_length=64)


class Models:
    """The addresses `/api/models`; changes are for the role operate."""

    def __init__(self, kafka: KafkaSettings, reports: Reports, metrics: ConsoleMetrics) -> None:
        self._kafka = kafka
        self._reports = reports
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._read: tuple[float, dict[str, Any]] | None = None

    def routes(self, audit: Audit) -> list[Route]:
        """Where they are."""
        changes = [("promote", self._promote), ("rollback", self._rollback)]
        return [
            Route("/api/models", self._list),
            # Reports name calls: they are for those who may label.
            Route("/api/models/report/{version}", needs(Role.LABEL, self._report, self._metrics)),
            *(
                Route(
                    f"/api/models/{name}",
                    needs(Role.OPERATE, partial(endpoint, audit), self._metrics),
                    methods=["POST"],
                )
                for name, endpoint in changes
            ),
        ]

    async def _list(self, _request: Request) -> Response:
        try:
            async with self._turn:
                return JSONResponse(await self._known())
        except UserError as error:
            _log.warning("models cannot be read: %s", error)
            return PlainTextResponse(f"{error}\n", 503)

    async def _report(self, request: Request) -> Response:
        reports = await asyncio.to_thread(self._reports.by_version)
        # A version chooses among what was found: it never becomes a path.
        path = reports.get(request.path_params["version"])
        if path is None:
            raise HTTPException(404, "no report of this version is at hand")
        return HTMLResponse(await asyncio.to_thread(path.read_bytes), headers=HEADERS)

    async def _known(self) -> dict[str, Any]:
        if self._read is None or time.monotonic() - self._read[0] > _FRESH_S:
            found = _told(await asyncio.to_thread(read_contents, self._kafka))
            reports = await asyncio.to_thread(self._reports.by_version)
            for one in found["models"]:
                one["report"] = one["version"] in reports
            self._read = time.monotonic(), found
        return self._read[1]

    async def _promote(self, audit: Audit, request: Request) -> Response:
        asked = await _asked(request)
        if asked.version is None:
            raise HTTPException(400, "version: which one?")
        change = partial(promote, self._kafka, asked.version, request.user.name)
        response, moved = await self._change(asked, change)
        if moved:
            audit.changes_model(request, "promotes", moved.champion, moved.before)
        return response

    async def _rollback(self, audit: Audit, request: Request) -> Response:
        change = partial(rollback, self._kafka, request.user.name)
        response, moved = await self._change(await _asked(request), change)
        if moved:
            audit.changes_model(request, "rolls back to", moved.champion, moved.before)
        return response

    async def _change(self, asked: _Version, change: Callable[[], Moved]) -> tuple[Response, Moved | None]:
        try:
            async with self._turn:
                self._read = None
                champion = (await self._known())["running"]
                if champion != asked.champion:
                    return PlainTextResponse(f"{champion} is the champion meanwhile\n", 409), None
                moved = await asyncio.to_thread(change)
                self._read = None
        except KafkaAway as error:
            return PlainTextResponse(f"{error}\n", 503), None
        except UserError as error:
            return PlainTextResponse(f"{error}\n", 409), None
        return JSONResponse({"champion": moved.champion, "before": moved.before}), moved


async def _asked(request: Request) -> _Version:
    try:
        return _Version.model_validate_json(await json_of(request))
    except ValidationError as error:
        first = error.errors()[0]
        raise HTTPException(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _told(contents: Contents) -> dict[str, Any]:
    champion = contents.state.aliases.get(Alias.CHAMPION)
    changes = [champion, *champion.history][:_CHANGES] if champion else []
    return {
        "running": contents.running,
        "named": champion is not None,
        "previous": contents.state.named(Alias.PREVIOUS),
        "models": [_entry(contents, entry) for entry in reversed(contents.entries)],
        "changes": [{"version": one.version, "by": one.by, "at": _ms(one.at), "how": one.how} for one in changes],
    }


def _entry(contents: Contents, entry: Entry) -> dict[str, Any]:
    card = entry.card
    return {
        "version": entry.version,
        "aliases": [alias.value for alias in contents.state.aliases_of(entry.version)],
        "published": _ms(entry.published) if entry.published else None,
        # A stranger's network is not tried for a list: it is before it is promoted.
        "fault": entry.fault or contents.unsigned(entry),
        "card": card and {
            "created": _ms(card.created),
            "labels": card.labels,
            "metrics": card.metrics,
            "trained": [f"{one.corpus} ({one.utterances} utterances, {one.licence})" for one in card.training_data],
            "lineage": card.lineage.told() if card.lineage else "",
            "licence": card.licence,
            "use": card.intended_use,
            "limits": card.limitations,
            "parameters": card.network.parameters,
            "arithmetic": card.network.arithmetic,
            "bytes": card.network.size,
            "uncertain": card.calibration.uncertain_below,
        },
    }  # fmt: skip


def _ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)

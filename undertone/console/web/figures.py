"""The figures of Grafana's dashboards, for who has none: the same questions to the same Prometheus."""

import asyncio
import json
import logging
import math
import re
import time
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schemas.audio import Role

# Written by `python -m scripts.dashboards`: a browser chooses a panel, and no question.
_BOARDS = Path(__file__).with_name("boards.json")
_ROLES = tuple(role.value for role in Role)
_MINUTES = re.compile(r"\d{1,5}", re.ASCII)
_LONGEST_MIN = 7 * 24 * 60
_POINTS, _LEAST_STEP_S = 240, 15
_SERIES = 30
_TIMEOUT_S = 10.0
_AT_ONCE = 8
_LABEL = re.compile(r"\{\{ *(\w+) *\}\}")
_log = logging.getLogger(__name__)
# It tells each request with its address, which may hold a login.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Away(Exception):
    """Prometheus does not answer, or not with what was asked for."""


class Figures:
    """The addresses `/api/figures`."""

    def __init__(self, prometheus: SecretStr | None) -> None:
        self._url = prometheus.get_secret_value().rstrip("/") if prometheus else ""
        self._boards: list[dict[str, Any]] = json.loads(_BOARDS.read_text(encoding="utf-8"))
        self._panels = {(board["name"], panel["id"]): panel for board in self._boards for panel in board["panels"]}
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._client: httpx.AsyncClient | None = None
        self.routes = [
            Route("/api/figures", self._list),
            Route("/api/figures/{board}/{panel:int}", self._panel),
        ]

    async def _list(self, _request: Request) -> Response:
        shown = ("id", "row", "title", "text", "kind", "unit", "stacked", "levels")
        boards = [
            {
                **board,
                "panels": [{name: panel[name] for name in shown} for panel in board["panels"]],
                "roles": list(_ROLES) if any(_asks_for_roles(panel) for panel in board["panels"]) else [],
            }
            for board in self._boards
        ]
        return JSONResponse({"boards": boards, "there": bool(self._url)})

    async def _panel(self, request: Request) -> Response:
        panel = self._panels.get((request.path_params["board"], request.path_params["panel"]))
        if panel is None:
            raise HTTPException(404)
        asked = request.query_params.get("minutes", "60")
        if not _MINUTES.fullmatch(asked) or not 1 <= int(asked) <= _LONGEST_MIN:
            raise HTTPException(400, f"minutes: 1 to {_LONGEST_MIN}")
        role = request.query_params.get("role", "")
        if role and role not in _ROLES:
            raise HTTPException(400, f"role: {' or '.join(_ROLES)}, or none for all")
        if not self._url:
            return PlainTextResponse("no Prometheus is set: UNDERTONE_CONSOLE_PROMETHEUS\n", 503)
        try:
            async with self._turn:
                return JSONResponse(await self._told(panel, int(asked) * 60, role or ".*"))
        except Away as error:
            return PlainTextResponse(f"{error}\n", 503)

    async def _told(self, panel: dict[str, Any], seconds: int, role: str) -> dict[str, Any]:
        if panel["kind"] == "table":
            found = await self._ask("query", {"query": panel["queries"][0][0]})
            hidden = {*panel["hidden"], "__name__"}
            rows = [{name: text for name, text in one["metric"].items() if name not in hidden} for one in found]
            return {"rows": rows[:_SERIES]}
        step = max(_LEAST_STEP_S, math.ceil(seconds / _POINTS))
        end = time.time() // step * step
        series = []
        for query, legend in panel["queries"]:
            # As Grafana does it: four times the scrape's interval at least; and all queues.
            text = (
                query.replace("$__rate_interval", f"{max(60, step + 15)}s")
                .replace("$role", role)
                .replace("$queue", ".*")
            )
            asked = {"query": text, "start": end - seconds, "end": end, "step": step}
            for one in (await self._ask("query_range", asked))[:_SERIES]:
                points = [[round(at * 1000), _number(value)] for at, value in one["values"]]
                series.append({"legend": _named(legend, one["metric"]), "points": points})
        return {"from": round((end - seconds) * 1000), "to": round(end * 1000), "step": step * 1000, "series": series}

    async def _ask(self, what: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        self._client = self._client or httpx.AsyncClient(timeout=_TIMEOUT_S)
        try:
            answer = await self._client.get(f"{self._url}/api/v1/{what}", params=asked)
            found = answer.json()
            if found["status"] != "success":
                raise Away(f"Prometheus: {found.get('error', 'no answer')}")
            result: list[dict[str, Any]] = found["data"]["result"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            # Its address may hold a login: it is not told.
            _log.warning("figures: Prometheus does not answer: %s", type(error).__name__)
            raise Away("Prometheus does not answer: see UNDERTONE_CONSOLE_PROMETHEUS") from None
        return result


def _asks_for_roles(panel: dict[str, Any]) -> bool:
    return any("$role" in query for query, _ in panel["queries"])


def _number(text: str) -> float | None:
    """A value; JSON has none that is infinite or no number."""
    value = float(text)
    return value if math.isfinite(value) else None


def _named(legend: str, labels: dict[str, str]) -> str:
    return _LABEL.sub(lambda match: labels.get(match[1], ""), legend).strip()

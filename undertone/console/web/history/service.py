"""History as the console runs it, and its addresses."""

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from schemas.topics import Topics
from undertone.console.web.entries import Entry
from undertone.console.web.follower import Follower
from undertone.console.web.history.following import Following
from undertone.console.web.history.store import Query, Store
from undertone.messaging.settings import KafkaSettings

_MOMENT = re.compile(r"\d{1,14}", re.ASCII)
_SECONDS = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)
_LIMIT = 100
_ID = 128


class History:
    """Where there is no folder it keeps itself in one that goes with it, and reads all anew at each start."""

    def __init__(self, folder: Path | None, most_bytes: int) -> None:
        self._passing = tempfile.TemporaryDirectory(prefix="undertone-console-") if folder is None else None
        self._store = Store(folder or Path(self._passing.name if self._passing else ""), most_bytes)
        self._follower: Follower | None = None
        self.routes = [Route("/api/history", self._search)]

    @property
    def alive(self) -> bool:
        """Whether it follows its topics."""
        return self._follower is None or self._follower.alive

    def start(self, kafka: KafkaSettings, topics: Topics, forgotten: Callable[[str, int], None]) -> None:
        """Begin to read; `forgotten` gets calls that are to be forgotten, from another thread."""
        names = [topics.emotion_events.name, topics.emotion_labels.name]
        self._follower = Follower(kafka, names, Following(self._store, topics, forgotten), "history")
        self._follower.start()

    def stop(self) -> None:
        """End."""
        if self._follower:
            self._follower.stop()
        self._store.close()
        if self._passing:
            self._passing.cleanup()

    async def of_call(self, call: str) -> list[Entry]:
        """The segments and summaries of a call."""
        return await asyncio.to_thread(self._store.of_call, call)

    @property
    def store(self) -> Store:
        """Where it is kept."""
        return self._store

    async def _search(self, request: Request) -> Response:
        given = request.query_params
        query = Query(
            since_ms=int(_checked(given.get("since", "0"), _MOMENT, "since")),
            until_ms=int(_checked(given.get("until", "9" * 14), _MOMENT, "until")),
            call=given.get("call", "").strip()[:_ID],
            emotion=given.get("emotion", "")[:_ID],
            seconds=float(_checked(given.get("seconds", "0"), _SECONDS, "seconds")),
            limit=_LIMIT,
        )
        calls = await asyncio.to_thread(self._store.search, query)
        emotions, count = await asyncio.to_thread(lambda: (self._store.emotions(), self._store.count()))
        whole = bool(self._follower and self._follower.caught_up.is_set())
        away = self._follower.away if self._follower else ""
        return JSONResponse(
            {"away": away, "calls": calls, "emotions": emotions, "known": count, "whole": whole, "most": _LIMIT}
        )


def _checked(text: str, pattern: re.Pattern[str], name: str) -> str:
    if not pattern.fullmatch(text):
        raise HTTPException(400, f"{name}: a number that is none")
    return text

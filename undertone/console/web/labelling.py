"""Labelling: what a person says of an utterance goes to `emotion-labels`, and what they took back."""

import asyncio
import logging
import re
from collections.abc import Callable
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from schemas.events import NO_SPEECH, UNCERTAIN
from schemas.labels import Emotion, LabelEnvelope
from undertone.console.web.access import needs
from undertone.console.web.audit import Audit
from undertone.console.web.bodies import json_of
from undertone.console.web.consumers import Away
from undertone.console.web.labels import Labels, NoEvent
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.roles import Role
from undertone.console.web.stretches import Stretch, StretchLabels
from undertone.console.web.voices import Everybody

# A label takes some ms; while Kafka is away those who come then wait, and hold no threads.
AT_ONCE = 2
_PLACE = re.compile(r"(\d{1,6}):(\d{1,18})")
_log = logging.getLogger(__name__)


class _Asked(BaseModel):
    """What a page sends. `place` is the event's, as the page got it; or it names a stretch."""

    model_config = ConfigDict(extra="forbid")

    place: tuple[int, int] | None = None
    stretch: Stretch | None = None
    emotion: Emotion = Field(examples=["angry"])
    withdrawn: bool = False

    @field_validator("place", mode="before")
    @classmethod
    def _read(cls, text: object) -> object:
        match = _PLACE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError("want partition:offset")
        return match.groups()

    @field_validator("emotion")
    @classmethod
    def _says_something(cls, emotion: str) -> str:
        if emotion in (UNCERTAIN, NO_SPEECH):
            raise ValueError("not an emotion")
        return emotion


class Labelling:
    """The address `/api/labels`, for the role label."""

    def __init__(
        self, labels: Labels, everybody: Everybody, stretches: StretchLabels, audit: Audit, metrics: ConsoleMetrics
    ) -> None:
        self._labels = labels
        self._everybody = everybody
        self._stretches = stretches
        self._audit = audit
        self._metrics = metrics
        self._turn = asyncio.Semaphore(AT_ONCE)
        self.routes = [
            Route("/api/labels", needs(Role.LABEL, self._send, metrics), methods=["POST"]),
            Route("/api/labels", needs(Role.LABEL, self._said, metrics)),
        ]

    async def _send(self, request: Request) -> Response:
        try:
            asked = _Asked.model_validate_json(await json_of(request))
        except ValidationError as error:
            first = error.errors()[0]
            raise HTTPException(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        by = request.user.name
        try:
            send = await self._sender(asked, by)
            async with self._turn:
                label = await asyncio.to_thread(send)
        except NoEvent as error:
            self._metrics.labels.labels("no_event").inc()
            return PlainTextResponse(f"{error}\n", 404)
        except Away as error:
            self._metrics.labels.labels("failed").inc()
            _log.warning("a label was not sent: %s", error)
            return PlainTextResponse("Kafka has not taken the label\n", 503)
        self._metrics.labels.labels("withdrawn" if asked.withdrawn else "sent").inc()
        self._audit.labels(request, label.data)
        return JSONResponse({"id": label.id, "emotion": asked.emotion, "by": by})

    async def _sender(self, asked: _Asked, by: str) -> Callable[[], LabelEnvelope]:
        if asked.place and not asked.stretch:
            return partial(self._labels.send, asked.place, asked.emotion, by, withdrawn=asked.withdrawn)
        if asked.stretch and not asked.place:
            where = await self._stretches.where(asked.stretch)
            return partial(self._stretches.send, asked.stretch, where, (asked.emotion, by, asked.withdrawn))
        raise HTTPException(400, "a label names a place or a stretch")

    async def _said(self, request: Request) -> Response:
        """By place what somebody says, who asks before all others, and what the others say."""
        found = await self._everybody.of_call(request.query_params.get("call", ""))
        told = {}
        for (part, offset), voices in found.items():
            newest_first = [{"emotion": emotion, "by": by} for by, emotion in reversed(voices.items())]
            first, *others = sorted(newest_first, key=lambda one: one["by"] != request.user.name)
            told[f"{part}:{offset}"] = {**first, "others": others} if others else first
        return JSONResponse(told)

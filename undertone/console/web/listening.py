"""Listening: a channel's sound between two moments as a WAV file, as the peaks of a waveform, and as a spectrogram."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from undertone.console.web.access import needs
from undertone.console.web.audit import Audit
from undertone.console.web.consumers import Away
from undertone.console.web.known import Known
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.roles import Role
from undertone.console.web.sound import BLOCK_S, Sound, SoundGone, Sounds
from undertone.console.web.spectrum import BANDS, TOP_HZ, spectrum
from undertone.console.web.wav import HEADER, header, wanted
from undertone.console.web.whereabouts import Whereabouts, whereabouts

# At once; who comes then waits. Each reads some ten seconds of a partition.
AT_ONCE = 4
# A WAV file of twelve hours at 16 kHz has 1.4 GB: its sizes fit, and no call is longer.
_LONGEST_MS = 12 * 3_600_000
# One answer to a range: a player asks for the next piece when it gets there, and holds no connection meanwhile.
_PIECE_S = 30
# A point of a waveform or a spectrogram, and how much of it is asked for at once.
_POINT_MS = 50
_LONGEST_PEAKS_MS = 120_000
# Who takes no more of a file for so long is left.
_SEND_S = 20.0
_MOMENT = re.compile(r"\d{1,14}")

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Listening:
    """The addresses below `/api/calls/`, for the role label."""

    def __init__(self, known: Known, sounds: Sounds, audit: Audit, metrics: ConsoleMetrics) -> None:
        self._known = known
        self._sounds = sounds
        self._audit = audit
        self._metrics = metrics
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route(f"/api/calls/{{call_id}}/{name}/{{channel}}", needs(Role.LABEL, endpoint, self._metrics))
            for name, endpoint in (("audio", self._audio), ("peaks", self._peaks), ("spectrum", self._spectrum))
        ]

    async def _audio(self, request: Request) -> Response:
        where = await self._where(request)
        from_ms, to_ms = _window(request, _LONGEST_MS)
        window = _Window(where, from_ms, to_ms)
        headers = {"Accept-Ranges": "bytes"}
        try:
            piece = wanted(request.headers.get("range"), window.size)
        except ValueError:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{window.size}"})
        await self._run(partial(self._sounds.look, where))
        whole = headers | {"Content-Length": str(window.size)}
        if request.method == "HEAD":
            return Response(headers=whole, media_type="audio/wav")
        if self._audit.listens(request, where.stream):
            self._metrics.listenings.inc()
        if piece is None:
            return _File(self._all(window), headers=whole, media_type="audio/wav")
        first, end = piece[0], min(piece[1], piece[0] + 2 * _PIECE_S * where.rate)
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{window.size}"
        return Response(await self._bytes(window, first, end), 206, headers, "audio/wav")

    async def _peaks(self, request: Request) -> Response:
        sound, where = await self._points(request)
        return JSONResponse({"ms": _POINT_MS, "peaks": _peaks(sound, _length(where))})

    async def _spectrum(self, request: Request) -> Response:
        sound, where = await self._points(request)
        found = await asyncio.to_thread(spectrum, sound, where.rate, _length(where))
        headers = {"X-Point-Ms": str(_POINT_MS), "X-Bands": str(BANDS), "X-Top-Hz": str(TOP_HZ)}
        return Response(found.tobytes(), headers=headers, media_type="application/octet-stream")

    async def _points(self, request: Request) -> tuple[Sound, Whereabouts]:
        """The sound of as many whole points as lie between the moments that are asked for."""
        where = await self._where(request)
        from_ms, to_ms = _window(request, _LONGEST_PEAKS_MS)
        await self._run(partial(self._sounds.look, where))
        count = -(-(to_ms - from_ms) // _POINT_MS)
        start = (from_ms - where.start_ms) * where.rate // 1000
        end = start + count * _length(where)
        return await self._run(partial(self._sounds.read, where, start, end)), where

    async def _where(self, request: Request) -> Whereabouts:
        call, channel = request.path_params["call_id"], request.path_params["channel"]
        found = whereabouts(await self._known.of_call(call)).get(channel.removesuffix(".wav"))
        if found is None:
            raise HTTPException(404, "no event that is known says where this channel's sound is")
        return found

    async def _all(self, window: "_Window") -> AsyncIterator[bytes]:
        step = 2 * BLOCK_S * window.where.rate
        for first in range(0, window.size, step):
            yield await self._bytes(window, first, min(window.size, first + step))

    async def _bytes(self, window: "_Window", first: int, end: int) -> bytes:
        """The bytes [first, end) of a file; of samples whole ones are read."""
        head = header(window.samples, window.where.rate)
        start, stop = max(0, first - HEADER) // 2, max(0, end - HEADER + 1) // 2
        sound = await self._run(partial(self._sounds.read, window.where, window.start + start, window.start + stop))
        offset = HEADER + 2 * start
        return head[first:end] + sound.samples.astype("<i2").tobytes()[max(0, first - offset) : max(0, end - offset)]

    async def _run(self, read: Callable[[], Result]) -> Result:
        async with self._turn:
            try:
                return await asyncio.to_thread(read)
            except SoundGone:
                raise HTTPException(410, "Kafka does not hold the sound of this call any more") from None
            except Away as error:
                _log.warning("sound cannot be read: %s", error)
                raise HTTPException(503, "Kafka does not answer") from None


class _Window:
    """A channel's WAV file between two moments on the call's clock."""

    def __init__(self, where: Whereabouts, from_ms: int, to_ms: int) -> None:
        self.where = where
        self.start = (from_ms - where.start_ms) * where.rate // 1000
        self.samples = (to_ms - from_ms) * where.rate // 1000
        self.size = HEADER + 2 * self.samples


class _File(StreamingResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until all is sent, who asked for it takes no more, or Kafka does not answer."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_SEND_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except* (TimeoutError, HTTPException):
            # The connection is closed before its end, which tells the other side.
            _log.info("a sound file was not sent to its end")


def _window(request: Request, longest_ms: int) -> tuple[int, int]:
    """`from` and `to` of the query, moments in ms.

    Raises:
        HTTPException: they are none, or too far apart.
    """
    given = [request.query_params.get(name, "") for name in ("from", "to")]
    if not all(_MOMENT.fullmatch(text) for text in given):
        raise HTTPException(400, "from and to are moments in ms")
    first, last = map(int, given)
    if not first < last <= first + longest_ms:
        raise HTTPException(400, f"to is later than from, by {longest_ms // 1000} s at most")
    return first, last


def _length(where: Whereabouts) -> int:
    """A point's samples."""
    return _POINT_MS * where.rate // 1000


def _peaks(sound: Sound, length: int) -> list[int | None]:
    """The greatest amplitude of each point, in thousandths; None where none of it was in Kafka."""
    loud = np.abs(sound.samples.astype(np.int32)).reshape(-1, length).max(axis=1) * 1000 // 32768
    there = sound.there.reshape(-1, length).max(axis=1)
    return [one if known else None for one, known in zip(loud.tolist(), there.tolist(), strict=True)]

"""Try it: a microphone's sound comes as a WebSocket and goes where calls go, and is forgotten when somebody says so."""

import asyncio
import contextlib
import logging
from functools import partial

from kafka.errors import KafkaError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from schemas.errors import UserError
from undertone.console.web.access import needs
from undertone.console.web.audit import Audit
from undertone.console.web.hub import Hub
from undertone.console.web.labels import Labels
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.microphones import CALL_ID, WIRE, Microphones, open_stream
from undertone.console.web.roles import Role
from undertone.console.web.sound import Sounds
from undertone.erasure.forget import forget
from undertone.erasure.kept import Kept
from undertone.gateway.calls import Calls
from undertone.gateway.refusals import MalformedMessage, Refusal, Refused
from undertone.gateway.streams import LiveStream
from undertone.gateway.websocket.microphone import MicrophoneMessages, MicrophoneStart, MicrophoneStop
from undertone.gateway.websocket.sessions import close_of
from undertone.messaging.settings import KafkaSettings

# Who sends less than half of this time's sound within it is silent, or too slow to be heard live.
PATIENCE_S = 10.0
_LONGEST_S = 600.0
# A worker hears the end within a second; who stands there waits no longer than this.
_END_S = 30.0
# A close that is not taken.
_CLOSE_S = 5.0
_log = logging.getLogger(__name__)


class Trying:
    """The addresses `/api/try`, for the role label."""

    def __init__(
        self, microphones: Microphones, forgetting: "Forgetting", audit: Audit, metrics: ConsoleMetrics
    ) -> None:
        self._microphones = microphones
        self._forgetting = forgetting
        self._audit = audit
        self._metrics = metrics
        self.routes = [
            WebSocketRoute("/api/try", self._hear),
            Route("/api/try/{call_id}", needs(Role.LABEL, self._forget, metrics), methods=["DELETE"]),
        ]

    async def _hear(self, socket: WebSocket) -> None:
        if socket.user.role < Role.LABEL:
            self._metrics.refused.labels("role").inc()
            await socket.send_denial_response(PlainTextResponse("this needs the role label\n", 403))
            return
        await socket.accept()
        try:
            calls = await self._microphones.calls()
            await self._converse(socket, calls)
            await _close(socket, 1000, "")
        except Refused as refused:
            _log.warning("a microphone is not heard (%s): %s", refused.reason, refused.text)
            await _close(socket, *close_of(refused))
        except WebSocketDisconnect:
            pass  # the page is gone, and its stream has ended

    async def _converse(self, socket: WebSocket, calls: Calls) -> None:
        """Take one connection's sound until it stops.

        Raises:
            Refused: no more of it is taken.
            WebSocketDisconnect: it is gone.
        """
        try:
            with calls.connection(WIRE):
                await _Session(socket, calls, self._audit).run()
        except Refused as refused:
            calls.metrics.refused(WIRE, refused.reason)
            raise

    async def _forget(self, request: Request) -> Response:
        call_id = request.path_params["call_id"]
        if not CALL_ID.fullmatch(call_id):
            raise HTTPException(404, "only what was tried here is forgotten here")
        try:
            kept = await self._forgetting.forget(call_id)
        except (KafkaError, UserError) as error:
            _log.warning("%s is not forgotten: %s", call_id, error)
            return PlainTextResponse(f"not forgotten: {error}\n", 503)
        self._audit.forgets(request, call_id)
        return JSONResponse({one.topic: one.until.isoformat() if one.until else None for one in kept})


class _Session:
    """One microphone, from its start to its stop."""

    def __init__(self, socket: WebSocket, calls: Calls, audit: Audit) -> None:
        self._socket = socket
        self._calls = calls
        self._audit = audit
        self._messages = MicrophoneMessages()
        self._stream: LiveStream | None = None
        self._fresh = 0

    async def run(self) -> None:
        """Until it stops; its stream has ended then, whatever the reason."""
        try:
            async with asyncio.timeout(PATIENCE_S) as patience:
                while await self._take():
                    if self._stream and self._fresh > self._stream.rate * PATIENCE_S / 2:
                        self._fresh = 0
                        patience.reschedule(asyncio.get_running_loop().time() + PATIENCE_S)
        except TimeoutError:
            wanted = f"{PATIENCE_S / 2:g} s of sound within {PATIENCE_S:g} s"
            raise Refused(Refusal.IDLE, f"less than {wanted}") from None
        except MalformedMessage as error:
            raise Refused(Refusal.MALFORMED, str(error)) from None
        finally:
            if self._stream:
                self._stream.end()

    async def _take(self) -> bool:
        """One message; whether more may come."""
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"])
        text = message.get("text")
        found = self._messages.read(message["bytes"] if text is None else text)
        if isinstance(found, MicrophoneStop):
            return False
        if isinstance(found, MicrophoneStart):
            await self._begin(found.rate)
            return True
        stream = self._stream
        assert stream is not None  # noqa: S101  samples come behind a start
        stream.feed(found)
        self._fresh += len(found)
        if stream.position > _LONGEST_S * stream.rate:
            raise Refused(Refusal.CALL_TOO_LARGE, f"{_LONGEST_S / 60:g} minutes are the most")
        return True

    async def _begin(self, rate: int) -> None:
        self._stream = open_stream(self._calls, rate)
        name = self._stream.name
        self._audit.speaks(self._socket, name.call_id)
        await self._socket.send_json({"event": "started", "call_id": name.call_id, "channel": name.channel})


class Forgetting:
    """Forgets what was tried: in Kafka as `undertone forget` does, and in this console."""

    def __init__(self, kafka: KafkaSettings, hub: Hub, sounds: Sounds, labels: Labels) -> None:
        self._kafka = kafka
        self._hub = hub
        self._sounds = sounds
        self._labels = labels
        self._turn = asyncio.Lock()

    async def forget(self, call_id: str) -> list[Kept]:
        """Forget it; returns until when Kafka's topics may hold it.

        Raises:
            UserError, KafkaError: it is not forgotten.
        """
        async with self._turn:
            _, kept = await asyncio.to_thread(partial(forget, self._kafka, call_id, end=True, timeout_s=_END_S))
        self._hub.forget(call_id)
        self._sounds.forget(call_id)
        self._labels.forget(call_id)
        return kept


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.close(code, reason)

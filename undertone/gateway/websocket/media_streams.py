"""Twilio's Media Streams and the dialects of it: one connection is one call, with one stream for each track."""

import logging

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from schemas.audio import Role
from undertone.gateway.calls import Calls
from undertone.gateway.metrics import GapCause
from undertone.gateway.names import CallName
from undertone.gateway.refusals import Refused
from undertone.gateway.settings import GatewaySettings
from undertone.gateway.streams import LiveStream
from undertone.gateway.websocket.access import require_signature, require_token
from undertone.gateway.websocket.dialects import Dialect, Start
from undertone.gateway.websocket.media_messages import Media, MediaMessages, Stop
from undertone.gateway.websocket.sessions import Session, converse, voice_of
from undertone.gateway.websocket.tracks import Stretch, Track

_log = logging.getLogger(__name__)


class MediaStreams:
    """The endpoint of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def authorize(self, request: Request, settings: GatewaySettings) -> None:
        """Check the signature, where its secret is set. Tokens come later, with the start message.

        Raises:
            Refused: it is not signed as it should be.
        """
        secret = self._secret(settings)
        if secret:
            require_signature(request, settings.public_url, str(self._dialect.signature), secret)

    async def serve(self, connection: ServerConnection, calls: Calls, settings: GatewaySettings) -> None:
        """Take one call.

        Raises:
            Refused: why the connection is to be closed.
        """
        signed = self._secret(settings) is not None
        await converse(connection, _MediaSession(self._dialect, connection, calls, signed=signed))

    def _secret(self, settings: GatewaySettings) -> str | None:
        secret = {"twilio": settings.twilio_auth_token, "signalwire": settings.signalwire_signing_key}.get(
            self._dialect.name
        )
        # An empty variable is none: it signs nothing.
        return (secret.get_secret_value() if secret else "") or None


class _MediaSession(Session):
    """Streams are opened with the first media of their track, so that a track without sound leaves no stream."""

    def __init__(self, dialect: Dialect, connection: ServerConnection, calls: Calls, *, signed: bool) -> None:
        super().__init__(dialect.name, calls)
        self._dialect = dialect
        self._connection = connection
        self._signed = signed
        self._messages = MediaMessages(dialect)
        self._name: CallName | None = None
        self._tracks: dict[Role, tuple[Track, LiveStream]] = {}

    async def take(self, message: str | bytes) -> bool:
        """Start, media or stop."""
        found = self._messages.read(message)
        match found:
            case Start():
                if not self._signed:
                    assert self._connection.request is not None  # noqa: S101  there was a handshake
                    require_token(self._connection.request, self.calls.settings, found.token)
                self._name = await self.named(found.call_id)
            case Media():
                track, stream = self._tracks.get(found.role) or self._open(found.role)
                for stretch in track.take(found):
                    _feed(stream, stretch)
            case Stop():
                self.end()
        return isinstance(found, Media)

    def end(self, refused: Refused | None = None) -> None:
        """The call is over, with the messages that wait for one that is late."""
        if refused is None:
            self._drain()
        super().end(refused)

    def cut(self, code: int | None) -> None:
        """A connection that is closed without a stop has broken off, whatever code it says."""
        try:
            self._drain()
        finally:
            super().cut(code)

    def _drain(self) -> None:
        for track, stream in self._tracks.values():
            for stretch in track.flush():
                _feed(stream, stretch)
            if track.late:
                name = f"{stream.name.call_id}/{stream.name.channel}"
                _log.warning("%s: %s: %d messages came twice or too late", self.wire, name, track.late)
                track.late = 0

    def _open(self, role: Role) -> tuple[Track, LiveStream]:
        start, name = self._messages.start, self._name
        assert start is not None and name is not None  # noqa: S101  the parser lets no media pass before the start
        stream = self.calls.open(
            self.wire, name.call_id, *voice_of(name, role), start.rate, start.encoding, traceparent=self.traceparent
        )
        self.streams.append(stream)
        track = Track(start.rate, self._dialect.reorder, wall_clock=self._dialect.wall_clock)
        self._tracks[role] = track, stream
        return track, stream


def _feed(stream: LiveStream, stretch: Stretch) -> None:
    stream.gap(stretch.gap, GapCause.LOSS)
    if len(stretch.samples):
        stream.feed(stretch.samples)

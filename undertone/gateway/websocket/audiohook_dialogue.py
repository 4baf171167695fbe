"""What an AudioHook client has said, and what follows from it: no socket and no Kafka in here.

The session keeps the client's clock: samples that came and samples that the client said it left out. What the client
leaves out becomes a gap that ends where the client says that its audio goes on.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.audio import Encoding
from undertone.acoustics.codecs import decode
from undertone.gateway.metrics import GapCause
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.audiohook_messages import (
    NOBODY,
    RATE,
    ClientMessage,
    Close,
    Complaint,
    Media,
    Open,
    Parameters,
    Skipped,
    parse,
    server_message,
)

# Clients that round positions to milliseconds are off by up to 4 samples; one that is off by more has another clock.
_SAME_CLOCK = RATE // 100
# A position is read some time before the message goes out: by a frame of audio, which is 200 ms at most.
_LATE = RATE // 2


class ProtocolError(MalformedMessage):
    """A message that the protocol has no place for; the code is of those that AudioHook borrows from HTTP."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Opening:
    """The client wants to begin: answer with `Dialogue.opened`, or refuse with `Dialogue.disconnect`."""

    conversation: str
    organization: str | None
    media: Media
    continued: tuple[str, ...]
    probe: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """Audio: int16 [n, channels], in the order of the channels that were chosen."""

    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Gap:
    """The client left out so many samples."""

    samples: int
    cause: GapCause


@dataclass(frozen=True, slots=True)
class Reply:
    """To be sent."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the log should have: one line."""

    text: str


@dataclass(frozen=True, slots=True)
class Closing:
    """The client is done. `returns`: it means to come back, under another session."""

    returns: bool
    reply: str


Step = Opening | Heard | Gap | Reply | Notice | Closing


class _State(Enum):
    NEW = auto()
    OPENING = auto()
    ACTIVE = auto()
    PAUSED = auto()
    REFUSED = auto()
    CLOSED = auto()


@dataclass(slots=True)
class Dialogue:
    """One connection. `id` is what the handshake's header said, where it said something."""

    id: str | None = None
    position: int = 0
    _seq: int = 0
    _clientseq: int = 0
    _state: _State = _State.NEW
    _media: Media | None = None
    _disagreed: bool = False

    @property
    def paused(self) -> bool:
        """Whether the client sends no audio, and said so."""
        return self._state is _State.PAUSED

    @property
    def closed(self) -> bool:
        """Whether all has been said."""
        return self._state is _State.CLOSED

    def text(self, text: str) -> list[Step]:
        """What follows from a text message.

        Raises:
            ProtocolError: it is no message, or one that cannot come here.
        """
        if self._state is _State.CLOSED:
            return []
        try:
            message, said = parse(text)
        except MalformedMessage as error:
            if self._state is _State.REFUSED:  # the client was told already
                return []
            raise ProtocolError(400, str(error)) from None
        if self._state is not _State.REFUSED:
            self._check_order(message)
        self._clientseq = max(self._clientseq, message.seq)
        if isinstance(said, Close):
            self._state = _State.CLOSED
            return [Closing(said.returns, self._message("closed", {}))]
        return [] if self._state is _State.REFUSED else self._follow(message, said)

    def audio(self, data: bytes) -> list[Step]:
        """What follows from a binary message.

        Raises:
            ProtocolError: there can be no audio now, or it is not whole samples of each channel.
        """
        if self._state in (_State.REFUSED, _State.CLOSED):
            return []
        if self._media is None or self._state is not _State.ACTIVE:
            raise ProtocolError(409, "audio while paused" if self.paused else "audio before the session is open")
        channels = len(self._media.channels)
        if len(data) % channels:
            raise ProtocolError(400, f"{len(data)} bytes of audio are not whole samples of {channels} channels")
        samples = decode(data, Encoding.PCMU).reshape(-1, channels)
        self.position += len(samples)
        return [Heard(samples)]

    def opened(self, media: Media) -> str:
        """The answer to an `Opening` that the server agrees to."""
        self._media, self._state = media, _State.ACTIVE
        return self._message("opened", {"media": [media.model_dump()], "startPaused": False})

    def disconnect(self, reason: Literal["completed", "unauthorized", "error"], info: str) -> str:
        """The message that ends the session from here; the client answers with `close`."""
        self._state = _State.REFUSED
        return self._message("disconnect", {"reason": reason, "info": info})

    def _follow(self, message: ClientMessage, said: Parameters) -> list[Step]:
        match said:
            case Open():
                return [self._open(message, said)]
            case Skipped():
                return self._skip(message.type, said)
            case Complaint(code=code, message=complaint):
                return [Notice(f"the client says {code}: {complaint}")]
        steps = self._compare(message)
        if message.type == "ping":
            steps.append(Reply(self._message("pong", {})))
        elif message.type == "paused" and self._state is _State.ACTIVE:
            self._state = _State.PAUSED
        return steps

    def _message(self, kind: str, parameters: dict[str, object]) -> str:
        self._seq += 1
        return server_message(kind, self.id or NOBODY, self._seq, self._clientseq, parameters)

    def _check_order(self, message: ClientMessage) -> None:
        if self.id is not None and message.id.lower() != self.id.lower():
            raise ProtocolError(400, "the message is of another session")
        if message.seq != self._clientseq + 1:
            raise ProtocolError(400, f"seq {message.seq}: want {self._clientseq + 1}")
        if message.serverseq > self._seq:
            raise ProtocolError(400, f"serverseq {message.serverseq}: the last one was {self._seq}")
        self.id = self.id or message.id
        if self._state is _State.NEW and message.type not in ("open", "close", "error", "ping"):
            raise ProtocolError(409, f"{message.type} before open")

    def _open(self, message: ClientMessage, said: Open) -> Opening:
        if self._state is not _State.NEW:
            raise ProtocolError(409, "open in a session that is open")
        media = said.choose()
        if media is None:
            raise ProtocolError(415, "none of the offered media is PCMU at 8000 Hz, external or internal")
        self.position, self._state = message.position, _State.OPENING
        continued = tuple(session.id for session in said.continued)
        return Opening(said.conversation, said.organization, media, continued, said.probe)

    def _skip(self, kind: str, said: Skipped) -> list[Step]:
        """A gap to where the client goes on: by its own clock where that is ours, else as long as it says."""
        if kind == "resumed" and self._state is _State.PAUSED:
            self._state = _State.ACTIVE
        ours = said.start >= self.position - _SAME_CLOCK
        target = said.start + said.discarded if ours else self.position + said.discarded
        steps: list[Step] = [] if ours else self._disagree(said.start)
        if target > self.position:
            steps.append(Gap(target - self.position, GapCause.PAUSE if kind == "resumed" else GapCause.DISCARDED))
            self.position = target
        return steps

    def _compare(self, message: ClientMessage) -> list[Step]:
        """The client's clock against ours. It runs on in a pause, and `resumed` says how far."""
        if self._state is not _State.ACTIVE or abs(message.position - self.position) <= _LATE:
            return []
        return self._disagree(message.position)

    def _disagree(self, position: int) -> list[Step]:
        """Told once: what the client left out it must say by `discarded`, so no gap is made of a position alone."""
        if self._disagreed:
            return []
        self._disagreed = True
        ahead = (position - self.position) / RATE
        return [Notice(f"the client's position is {ahead:+.3f} s from the audio that came")]

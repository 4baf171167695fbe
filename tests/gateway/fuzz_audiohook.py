"""AudioHook's messages and signed handshakes for the fuzzer."""

from collections.abc import Callable

from tests.gateway.fuzz_target import Target
from tests.gateway.websocket.audiohook_client import Messages, handshake_headers, signed
from undertone.gateway.refusals import MalformedMessage
from undertone.gateway.websocket.audiohook_dialogue import Dialogue, Opening
from undertone.gateway.websocket.audiohook_signature import Handshake, SignatureCheck, Unauthorized

_NOW = 1_800_000_000.0
_AUDIO = b"\x00"  # what begins with it is a binary message
_LONGEST_GAP = 2 * 7 * 24 * 3600 * 8000


def audiohook() -> Target:
    """Each message of a session, `open` to a new one and the others to one that is open."""

    def second(write: Callable[[Messages], str]) -> bytes:
        said = Messages(seq=1, serverseq=1)
        return write(said).encode()

    seeds = [
        Messages().open().encode(),
        second(lambda said: said.write("ping", rtt="PT0.02S")),
        second(lambda said: said.skip("discarded", 12_345)),
        second(lambda said: said.skip("resumed", 800)),
        second(lambda said: said.write("paused")),
        second(lambda said: said.write("update", language="de-DE")),
        second(lambda said: said.write("error", code=408, message="slow")),
        second(lambda said: said.write("close", reason="end")),
        _AUDIO + bytes(range(200)),
    ]
    opening = Messages().open()

    def take(data: bytes) -> None:
        dialogue = Dialogue()
        if b'"open"' not in data:
            _let_in(dialogue, opening)
        if data.startswith(_AUDIO):
            dialogue.audio(data[1:])
        else:
            _let_in(dialogue, data.decode(errors="replace"))
        assert 0 <= dialogue.position <= _LONGEST_GAP

    return Target(seeds, take)


def audiohook_signature() -> Target:
    """Handshakes, a header a line, of which each passes once."""
    headers = handshake_headers("30b0e395-84d3-4570-ac13-9a62d8f514c0", key="a2V5")
    seeds = []
    for nonce in ("one", "two", "three"):
        lines = signed(headers, b"secret", "/audiohook", "host", created=_NOW, nonce=nonce).items()
        seeds.append("\n".join(f"{name}: {value}" for name, value in lines).encode())

    def take(data: bytes) -> None:
        # As the listener reads them: what is no ASCII stands there as surrogates.
        pairs = (line.partition(": ") for line in data.decode("ascii", "surrogateescape").split("\n"))
        handshake = Handshake("/audiohook", "host", "https", tuple((name, value) for name, _, value in pairs))
        try:
            SignatureCheck({"a2V5": b"secret"}, clock=lambda: _NOW).check(handshake)
        except Unauthorized as error:
            assert "\n" not in str(error)
            raise MalformedMessage(str(error)) from error

    return Target(seeds, take)


def _let_in(dialogue: Dialogue, text: str) -> None:
    for step in dialogue.text(text):
        if isinstance(step, Opening):
            dialogue.opened(step.media)
